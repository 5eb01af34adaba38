#!/bin/bash
# What Python programs do: environments, wheels, processes, threads, files, sockets, databases.
set -euo pipefail
cd "$(mktemp -d)"

python3 - <<'PY'
import zipfile

with zipfile.ZipFile("parcel-1.0-py3-none-any.whl", "w") as wheel:
    wheel.writestr("parcel/__init__.py", "def answer():\n    return 42\n")
    about = "parcel-1.0.dist-info/"
    wheel.writestr(about + "METADATA", "Metadata-Version: 2.1\nName: parcel\nVersion: 1.0\n")
    wheel.writestr(about + "WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    wheel.writestr(about + "RECORD", "")
PY
python3 -m venv env
env/bin/pip --isolated install --no-index parcel-1.0-py3-none-any.whl
env/bin/python -c 'import parcel; assert parcel.answer() == 42'
env/bin/pip --isolated uninstall --yes parcel

cat >all.py <<'PY'
import asyncio
import concurrent.futures
import contextlib
import ctypes
import fcntl
import mmap
import multiprocessing
import multiprocessing.shared_memory
import os
import pty
import random
import resource
import select
import shutil
import signal
import socket
import socketserver
import sqlite3
import ssl
import subprocess
import tempfile
import threading
import time


def square(number):
    return number * number


def files():
    with open("plain", "wb") as file:
        file.write(os.urandom(100_000))
        file.flush()
        os.fsync(file.fileno())
        os.fdatasync(file.fileno())
        os.posix_fallocate(file.fileno(), 0, 200_000)
        os.ftruncate(file.fileno(), 50_000)
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_SEQUENTIAL)
        fcntl.flock(file, fcntl.LOCK_EX)
        fcntl.lockf(file, fcntl.LOCK_EX)
        os.fchmod(file.fileno(), 0o600)
        os.fchown(file.fileno(), -1, os.getgid())
    shutil.copy2("plain", "copied")
    os.link("plain", "hard")
    os.symlink("plain", "soft")
    os.readlink("soft")
    os.rename("hard", "renamed")
    os.replace("renamed", "copied")
    os.utime("copied", (1, 2))
    os.chmod("copied", 0o640)
    os.chown("copied", -1, os.getgid())
    os.lchown("soft", -1, os.getgid())
    os.truncate("copied", 10)
    os.access("copied", os.R_OK)
    os.statvfs(".")
    with open("copied", "rb") as file:
        os.fstatvfs(file.fileno())
    os.mkfifo("fifo")
    os.makedirs("a/b/c")
    list(os.walk("."))
    list(os.scandir("."))
    here = os.open(".", os.O_RDONLY)
    os.stat("plain", dir_fd=here)
    os.fchdir(here)
    os.close(here)
    os.sync()
    os.umask(0o022)
    with contextlib.suppress(OSError):
        os.setxattr("plain", "user.note", b"x")
    with contextlib.suppress(OSError):
        os.getxattr("plain", "user.note")
    with contextlib.suppress(OSError):
        os.listxattr("plain")
    with contextlib.suppress(OSError):
        os.removexattr("plain", "user.note")
    source, target = os.open("plain", os.O_RDONLY), os.open("ranged", os.O_RDWR | os.O_CREAT)
    os.truncate(target, 1000)
    os.pread(source, 10, 5)
    os.pwrite(target, b"x", 3)
    os.readv(source, [bytearray(4)])
    os.writev(target, [b"ab", b"cd"])
    os.preadv(source, [bytearray(4)], 0)
    os.pwritev(target, [b"ab"], 0)
    os.sendfile(target, source, 0, 100)
    with contextlib.suppress(OSError):
        os.copy_file_range(source, target, 100)
    with contextlib.suppress(OSError, AttributeError):
        os.splice(source, target, 10)
    os.lseek(source, 0, os.SEEK_SET)
    with mmap.mmap(target, 100) as mapped:
        mapped[0] = 1
        mapped.flush()
        mapped.madvise(mmap.MADV_WILLNEED)
        mapped.resize(200)
    os.memfd_create("memory")
    os.eventfd(0)
    tempfile.NamedTemporaryFile().close()
    tempfile.TemporaryFile().close()
    os.remove("fifo")
    os.unlink("soft")
    shutil.rmtree("a")


def processes():
    assert subprocess.run(["/bin/echo", "x"], capture_output=True).stdout == b"x\n"
    assert subprocess.run("true; exit 3", shell=True).returncode == 3
    subprocess.run(["true"], start_new_session=True, cwd="/", umask=0o77)
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0)
        os.nice(1)
        os._exit(0)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    os.waitpid(child, 0)
    pid = os.posix_spawn("/bin/true", ["true"], {})
    with contextlib.suppress(OSError):  # an old gVisor has none
        signal.pidfd_send_signal(os.pidfd_open(pid), 0)
    os.waitpid(pid, 0)
    sleeper = subprocess.Popen(["sleep", "60"])
    sleeper.send_signal(signal.SIGSTOP)
    sleeper.send_signal(signal.SIGCONT)
    sleeper.kill()
    sleeper.wait()
    master, slave = pty.openpty()
    subprocess.run(["tty"], stdin=slave, stdout=slave)
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert pool.map(square, range(4)) == [0, 1, 4, 9]
    with multiprocessing.get_context("spawn").Manager() as manager:
        manager.dict()["x"] = 1
    shared = multiprocessing.shared_memory.SharedMemory(create=True, size=4096)
    shared.close()
    shared.unlink()
    os.getloadavg()
    os.getpriority(os.PRIO_PROCESS, 0)
    os.sched_getaffinity(0)
    os.sched_setaffinity(0, os.sched_getaffinity(0))
    os.sched_getscheduler(0)
    os.sched_getparam(0)
    os.sched_get_priority_max(os.SCHED_OTHER)
    os.sched_yield()
    os.getgroups()
    os.getresuid()
    os.getresgid()
    os.getsid(0)
    os.getpgid(0)
    os.times()
    os.sysconf("SC_NPROCESSORS_ONLN")
    resource.getrusage(resource.RUSAGE_SELF)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    resource.prlimit(os.getpid(), resource.RLIMIT_CORE)


def threads():
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(square, range(10))) == 285
    done = threading.Event()
    timer = threading.Timer(0.01, done.set)
    timer.start()
    done.wait()
    signal.signal(signal.SIGALRM, lambda *_: None)
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    signal.sigtimedwait([signal.SIGUSR1], 0.01)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
    os.kill(os.getpid(), signal.SIGUSR2)
    signal.sigpending()
    signal.sigwait([signal.SIGUSR2])
    signal.alarm(0)
    time.sleep(0.01)
    time.clock_gettime(time.CLOCK_PROCESS_CPUTIME_ID)
    time.clock_getres(time.CLOCK_MONOTONIC)


class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.sendall(self.request.recv(100))


def sockets():
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Echo) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with socket.create_connection(server.server_address) as client:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            client.getpeername()
            client.getsockname()
            client.sendmsg([b"x"])
            client.shutdown(socket.SHUT_WR)
            assert client.recvmsg(10)[0] == b"x"
        server.shutdown()
    one, two = socket.socketpair()
    socket.send_fds(one, [b"x"], [1])
    socket.recv_fds(two, 10, 2)
    with contextlib.suppress(OSError):
        socket.socket(socket.AF_INET6).bind(("::1", 0))
    first = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    first.bind(("127.0.0.1", 0))
    first.sendto(b"x", first.getsockname())
    first.recvfrom(10)
    named = socket.socket(socket.AF_UNIX)
    named.bind("named.sock")
    named.listen()
    poll = select.poll()
    poll.register(named, select.POLLIN)
    poll.poll(1)
    select.select([named], [], [], 0.001)
    epoll = select.epoll()
    epoll.register(named, select.EPOLLIN)
    epoll.poll(0.001)
    assert socket.getaddrinfo("localhost", 80)
    socket.gethostbyname("localhost")
    with contextlib.suppress(OSError):
        socket.getaddrinfo("nowhere.test", 80, flags=socket.AI_ADDRCONFIG)
    socket.gethostname()
    with contextlib.suppress(OSError):
        socket.if_nameindex()
    ssl.create_default_context()


def databases():
    base = sqlite3.connect("base.sqlite")
    base.execute("PRAGMA journal_mode=WAL")
    base.execute("CREATE TABLE t (x)")
    base.executemany("INSERT INTO t VALUES (?)", [(n,) for n in range(100)])
    base.commit()
    base.close()


async def loops():
    process = await asyncio.create_subprocess_exec("cat", stdin=-1, stdout=-1)
    assert (await process.communicate(b"x"))[0] == b"x"
    server = await asyncio.start_unix_server(lambda r, w: w.close(), "loop.sock")
    await asyncio.open_unix_connection("loop.sock")
    server.close()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR1, lambda: None)
    await loop.run_in_executor(None, time.sleep, 0.01)


if __name__ == "__main__":
    files()
    processes()
    threads()
    sockets()
    databases()
    asyncio.run(loops())
    random.SystemRandom().random()
    ctypes.CDLL(None).getpid()
PY
python3 all.py
echo "python: all done"
