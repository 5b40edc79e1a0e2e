"""A disk that remembers in which order it was written to, so that its power can be cut at any moment afterwards.

`disk.py IMAGE JOURNAL FILE` mounts, over FILE, a FUSE file system of just one file: the IMAGE. Every write and every flush is noted in the
JOURNAL before it is answered. Put a loop device on FILE and a file system on that; the JOURNAL's size at a moment is the moment's name.
What a disk holds whose power was cut then: every write before the last flush, and any of those after it, each 512 bytes for themselves
(`cut`). It ends when FILE is unmounted.
"""

import ctypes
import errno
import os
import random
import struct
import sys

HEAD, ANSWER, RECORD = struct.Struct("<IIQQIIII"), struct.Struct("<IiQ"), struct.Struct("<BQI")
WRITE, FLUSH, SECTOR, LARGEST = 1, 2, 512, 1 << 20


def attributes(size):
    return struct.pack("<6Q10I", 1, size, (size + 511) // 512, 0, 0, 0, 0, 0, 0, 0o100600, 1, 0, 0, 0, 4096, 0)


def serve(image, journal, target):
    size, file = os.path.getsize(image), os.open(image, os.O_RDWR)
    journal = open(journal, "ab", buffering=0)
    device = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={device},rootmode=100600,user_id=0,group_id=0,allow_other".encode()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"tokenward-disk", target.encode(), b"fuse", 6, options):
        sys.exit(f"FUSE can't be mounted: {os.strerror(ctypes.get_errno())}")
    print("mounted", flush=True)
    while True:
        try:
            asked = os.read(device, LARGEST + 4096)
        except OSError as error:
            if error.errno == errno.ENODEV:
                return
            if error.errno in (errno.EINTR, errno.ENOENT, errno.EAGAIN):
                continue
            raise
        _, operation, unique, *_ = HEAD.unpack_from(asked)
        body, answer, failure = asked[HEAD.size :], b"", 0
        if operation in (2, 36, 42):  # FORGET, INTERRUPT, BATCH_FORGET: nobody waits for an answer
            continue
        if operation == 26:  # INIT, with BIG_WRITES and MAX_PAGES
            answer = struct.pack("<4I2H2I2H8I", 7, 31, 0, 1 << 5 | 1 << 22, 16, 12, LARGEST, 1, LARGEST // 4096, 0, *[0] * 8)
        elif operation in (3, 4):  # GETATTR, SETATTR
            answer = struct.pack("<QII", 1, 0, 0) + attributes(size)
        elif operation == 14:  # OPEN, past the page cache
            answer = struct.pack("<QII", 1, 1, 0)
        elif operation == 15:  # READ
            _, offset, length = struct.unpack_from("<QQI", body)
            answer = os.pread(file, length, offset)
        elif operation == 16:  # WRITE
            _, offset, length = struct.unpack_from("<QQI", body)
            data = body[40 : 40 + length]
            os.pwrite(file, data, offset)
            journal.write(RECORD.pack(WRITE, offset, length) + data)
            answer = struct.pack("<II", length, 0)
        elif operation == 20:  # FSYNC: what a flush of the loop device arrives as
            journal.write(RECORD.pack(FLUSH, 0, 0))
        elif operation == 17:  # STATFS
            answer = struct.pack("<5Q4I6I", size // 4096, 0, 0, 1, 0, 4096, 255, 4096, *[0] * 7)
        elif operation not in (18, 25):  # RELEASE, FLUSH of a descriptor
            failure = -errno.ENOSYS
        os.write(device, ANSWER.pack(ANSWER.size + len(answer), failure, unique) + answer)


def cut(journal, moment, size, image, seed):
    """Writes the image of a disk of that size whose power was cut at that moment. What wasn't flushed is there or not, as the seed has it."""
    chance, pending = random.Random(seed), []
    with open(journal, "rb") as file, open(image, "wb") as disk:
        disk.truncate(size)

        def settle(writes, kept):
            for offset, data in writes:
                if kept == 1:
                    disk.seek(offset)
                    disk.write(data)
                    continue
                for at in range(0, len(data), SECTOR):
                    if chance.random() < kept:
                        disk.seek(offset + at)
                        disk.write(data[at : at + SECTOR])

        while file.tell() < moment:
            kind, offset, length = RECORD.unpack(file.read(RECORD.size))
            if kind == FLUSH:
                settle(pending, 1)
                pending = []
            else:
                pending.append((offset, file.read(length)))
        settle(pending, chance.choice([0, 0.5, 1]))
    return len(pending)


if __name__ == "__main__":
    serve(*sys.argv[1:])
