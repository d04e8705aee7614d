"""The schedule of a scenario: each step waits for its trigger, is performed, and is undone in time.

Here: one task for each step. Not here: what a step does (`experiment`, which Python programs call directly).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from random import Random

from cluster.scenario.experiment import Lab
from cluster.scenario.plan import HealAction, Moment, PlannedStep, Repetition


class Schedule:
    """Plays the steps of a plan in a lab."""

    def __init__(self, steps: Sequence[PlannedStep], seed: int) -> None:
        self._steps = steps
        self._seed = seed
        self._fired: dict[str, asyncio.Future[None]] = {}
        self._ended: dict[str, asyncio.Future[None]] = {}

    async def play(self, lab: Lab) -> None:
        """Let the run's time pass with all steps in it. Raises what a step raised: a bug or a broken lab."""
        loop = asyncio.get_running_loop()
        self._fired = {step.id: loop.create_future() for step in self._steps}
        self._ended = {step.id: loop.create_future() for step in self._steps}
        lab.when_healed(lambda _fault_id: self._note_ends(lab))
        tasks = [asyncio.create_task(self._run(lab, step), name=f"step {step.id}") for step in self._steps]
        end = asyncio.create_task(lab.pass_us(lab.duration_us - lab.now_us()))
        try:
            waiting = [*tasks, end]
            while not end.done():
                done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                waiting = [task for task in waiting if not task.done()]
                if any(not task.cancelled() and task.exception() is not None for task in done):
                    break
        finally:
            for task in (*tasks, end):
                task.cancel()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                raise outcome

    async def _run(self, lab: Lab, step: PlannedStep) -> None:
        await self._trigger(lab, step)
        if step.every is not None:
            await self._repeat(lab, step, step.every)
        elif await lab.perform(step) is not None:
            await self._performed(lab, step, step.id)

    async def _performed(self, lab: Lab, step: PlannedStep, fault_id: str) -> None:
        if not self._fired[step.id].done():
            self._fired[step.id].set_result(None)
        self._note_ends(lab)
        if step.lasts_us is not None:
            await lab.pass_us(step.lasts_us)
            await lab.heal(fault_id)
            self._note_ends(lab)

    async def _repeat(self, lab: Lab, step: PlannedStep, every: Repetition) -> None:
        """Fire again and again. A blow that lasts longer than the period does not hold up the next one."""
        rng = Random(f"{self._seed}/every/{step.id}")
        due_us = lab.now_us() if step.at_us is not None or step.after is not None else every.period_us
        blows: list[asyncio.Task[None]] = []
        number = 0
        try:
            while every.count is None or number < every.count:
                number += 1
                jitter_us = rng.randrange(-every.jitter_us, every.jitter_us + 1) if every.jitter_us else 0
                await lab.pass_us(due_us + jitter_us - lab.now_us())
                for blow in blows:
                    if blow.done():
                        blow.result()  # raises what it raised
                due_us += every.period_us
                blows.append(asyncio.create_task(self._blow(lab, step, number)))
            await asyncio.gather(*blows)
        finally:
            for blow in blows:
                blow.cancel()

    async def _blow(self, lab: Lab, step: PlannedStep, number: int) -> None:
        fault_id = step.id if number == 1 else f"{step.id}/{number}"
        if await lab.perform(step, fault_id) is not None:
            await self._performed(lab, step, fault_id)

    async def _trigger(self, lab: Lab, step: PlannedStep) -> None:
        if step.at_us is not None:
            await lab.pass_us(step.at_us - lab.now_us())
        elif step.after is not None:
            await self._moment(lab, step.after)

    async def _moment(self, lab: Lab, moment: Moment) -> None:
        # Shielded, because several steps may wait for one moment and one of them may be cancelled.
        await asyncio.shield((self._ended if moment.is_end else self._fired)[moment.step])
        await lab.pass_us(moment.plus_us)

    def _note_ends(self, lab: Lab) -> None:
        """Let those go on who wait for the end of a fault."""
        for step in self._steps:
            lasts = step.action is not None and not isinstance(step.action, HealAction) and lab.active(step.id)
            is_over = self._fired[step.id].done() and step.action is not None and not lasts
            if is_over and not self._ended[step.id].done():
                self._ended[step.id].set_result(None)
