"""The live disk does to real files what the Disk port says."""

from __future__ import annotations

import asyncio
import errno
import os
from pathlib import Path

import pytest

from cluster.base.ports import DiskError
from cluster.runtime.live.disk import LiveDisk


def test_what_is_appended_is_read_back_and_directories_come_by_themselves(tmp_path: Path) -> None:
    disk = LiveDisk(tmp_path / "b1")
    disk.append("orders-0/00.log", [b"ab", memoryview(b"cd"), bytearray(b"e")])
    disk.append("orders-0/00.log", [b"f"])
    assert disk.read("orders-0/00.log", 1, 100) == b"bcdef"
    assert disk.read("orders-0/00.log", 1, 2) == b"bc"
    assert disk.read("orders-0/00.log", 6, 2) == b""
    assert disk.size("orders-0/00.log") == 6
    assert disk.size("nothing") == 0
    assert disk.list("") == ["orders-0"]
    assert disk.list("nothing") == []


def test_more_chunks_than_one_system_call_takes_are_all_written(tmp_path: Path) -> None:
    disk = LiveDisk(tmp_path)
    disk.append("log", [bytes([number % 256]) for number in range(3000)])
    assert disk.read("log", 0, 4000) == bytes(number % 256 for number in range(3000))


def test_an_append_after_a_truncation_goes_to_the_new_end(tmp_path: Path) -> None:
    disk = LiveDisk(tmp_path)
    disk.append("log", [b"0123456789"])
    disk.truncate("log", 4)
    disk.append("log", [b"x"])
    assert disk.read("log", 0, 100) == b"0123x"


def test_a_replaced_file_is_read_anew_even_when_it_was_open(tmp_path: Path) -> None:
    disk = LiveDisk(tmp_path)
    disk.replace("vote", b"one")
    assert disk.read("vote", 0, 10) == b"one"
    disk.replace("vote", b"two!")
    assert disk.read("vote", 0, 10) == b"two!"
    assert disk.list("") == ["vote"], "no temporary file is left"


def test_a_renamed_directory_takes_its_files_along(tmp_path: Path) -> None:
    disk = LiveDisk(tmp_path)
    disk.append("orders-0/log", [b"old"])
    disk.rename("orders-0", "orders-0.deleted")
    disk.append("orders-0/log", [b"new"])
    assert disk.read("orders-0/log", 0, 10) == b"new"
    assert disk.read("orders-0.deleted/log", 0, 10) == b"old"


def test_deleting_takes_files_and_directories_and_minds_nothing_missing(tmp_path: Path) -> None:
    disk = LiveDisk(tmp_path)
    disk.append("orders-0/log", [b"x"])
    disk.delete("orders-0")
    disk.delete("orders-0")
    assert not disk.exists("orders-0")
    disk.append("orders-0/log", [b"y"])
    assert disk.read("orders-0/log", 0, 10) == b"y", "a file that was open is not written to after its deletion"


def test_a_sync_outlives_the_closing_of_its_file(tmp_path: Path) -> None:
    disk = LiveDisk(tmp_path)

    async def sync_and_delete() -> None:
        disk.append("log", [b"x"])
        syncing = asyncio.create_task(disk.sync("log"))
        await asyncio.sleep(0)
        disk.delete("log")
        await syncing

    asyncio.run(sync_and_delete())
    assert not disk.exists("log")


def test_an_error_says_why_and_where(tmp_path: Path) -> None:
    disk = LiveDisk(tmp_path)
    with pytest.raises(DiskError) as missing:
        disk.read("nothing", 0, 1)
    assert missing.value.errno == errno.ENOENT
    assert missing.value.filename == str(tmp_path / "nothing")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no full device")
def test_a_full_disk_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    os.symlink("/dev/full", tmp_path / "log")
    with pytest.raises(DiskError, match="free some space") as full:
        LiveDisk(tmp_path).append("log", [b"x"])
    assert full.value.errno == errno.ENOSPC


def test_a_read_only_disk_leaves_no_trace(tmp_path: Path) -> None:
    LiveDisk(tmp_path).append("log", [b"x"])
    disk = LiveDisk(tmp_path, read_only=True)
    assert disk.read("log", 0, 1) == b"x"
    with pytest.raises(DiskError):
        disk.append("log", [b"y"])


def test_many_files_do_not_use_up_the_descriptors(tmp_path: Path) -> None:
    disk = LiveDisk(tmp_path)
    before = len(os.listdir("/proc/self/fd"))
    for number in range(1100):
        disk.append(f"log{number}", [b"x"])
    assert len(os.listdir("/proc/self/fd")) - before <= 1024
    assert disk.read("log0", 0, 1) == b"x", "one that was closed is opened again"
    disk.close()
    assert len(os.listdir("/proc/self/fd")) == before
