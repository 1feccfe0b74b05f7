"""bench - shared by compare, count and growth: the works that a client does, the sides
that do them, and one run of fio.

A *side* is something that a client can read and write: fio's arguments for it, and the
processes that serve it, whose processor time is counted.
"""
import json
import os
import shutil
import signal
import statistics
import subprocess
import time

MIB = 1 << 20
PROCESSORS = sorted(os.sched_getaffinity(0))

# name: fio's arguments. A flush after each write where `fsync` is said.
WORKS = {
    "write-4k-d1": ["--rw=randwrite", "--bs=4k", "--iodepth=1"],
    "write-4k-d32": ["--rw=randwrite", "--bs=4k", "--iodepth=32"],
    "fsync-4k-d1": ["--rw=randwrite", "--bs=4k", "--iodepth=1", "--fsync=1"],
    "fsync-4k-d32": ["--rw=randwrite", "--bs=4k", "--iodepth=32", "--fsync=1"],
    "write-128k-seq-d8": ["--rw=write", "--bs=128k", "--iodepth=8"],
    "read-4k-d32": ["--rw=randread", "--bs=4k", "--iodepth=32"],
    "mix-16k-70-30-d16": ["--rw=randrw", "--rwmixread=70", "--bs=16k", "--iodepth=16",
                          "--unified_rw_reporting=mixed"],
    "write-4k-zipf-d16": ["--rw=randwrite", "--bs=4k", "--iodepth=16",
                          "--random_distribution=zipf:1.1"],
}


class CannotRun(Exception):
    """This side cannot be measured here; the text says why."""


def need(program):
    """The program is on this machine."""
    if shutil.which(program) is None:
        raise CannotRun(f"{program} is not installed (tests/packages lists all)")


def wait_for(path, process, what):
    """Until `path` exists; the process that is to make it must live."""
    deadline = time.monotonic() + 60
    while not os.path.exists(path):
        if process.poll() is not None:
            raise CannotRun(f"{what} ended before it was ready")
        if time.monotonic() > deadline:
            raise CannotRun(f"{what} was not ready within 60 s")
        time.sleep(0.02)


def make_file(path, size, block=None):
    """Written once, so that no side pays for the allocation of blocks."""
    block = block or os.urandom(MIB)
    with open(path, "r+b" if os.path.exists(path) else "wb") as f:
        for _ in range(size // MIB):
            f.write(block)
        f.flush()
        os.fsync(f.fileno())


def free_port():
    """One that no other test has (tests/system/free_port)."""
    program = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../system/free_port")
    return int(subprocess.run([program, str(os.getpid())], check=True, stdout=subprocess.PIPE,
                              text=True).stdout)


def nbd_arguments(path, export):
    """fio's arguments for an export of a server on a UNIX socket."""
    return ["--ioengine=nbd", f"--uri=nbd+unix:///{export}?socket={path}"]


class Side:
    """See above; `where` will be a folder of its own. Nothing runs before start(), and
    nothing after stop(), also if start() failed."""

    def __init__(self, name, where, size):
        self.name, self.where, self.size = name, where, size
        self.processes = []
        self.arguments = []
        self.place, self.taken = None, 0

    def file(self, name, size, block=None):
        """Make a file of this side. Where `place` says a folder, its blocks are those of a
        file that is kept there: its first, its second, and so on."""
        path = f"{self.where}/{name}"
        if self.place is None:
            make_file(path, size, block)
            return path
        kept = f"{self.place}/{self.taken}"
        self.taken += 1
        if block is not None or not os.path.exists(kept):
            make_file(kept, size, block)
        os.link(kept, path)
        return path

    def start(self):
        """Make the files, start the processes."""
        os.makedirs(self.where)

    def spawn(self, *argv, **keywords):
        """One more of this side's processes."""
        need(argv[0])
        process = subprocess.Popen(argv, **keywords)
        self.processes.append(process)
        return process

    def cpu_seconds(self):
        """Processor time of the processes so far, user and system."""
        ticks = 0
        for process in self.processes:
            with open(f"/proc/{process.pid}/stat", encoding="ascii") as f:
                fields = f.read().rsplit(")", 1)[1].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def settle(self):
        """Until the work that was answered is also done."""

    def stop(self):
        """End the processes, the last one first."""
        for process in reversed(self.processes):
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self.processes:
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


class Raw(Side):
    """The file itself."""

    def start(self):
        super().start()
        self.arguments = ["--ioengine=io_uring", "--direct=1",
                          f"--filename={self.file('disk', self.size)}"]


class Qemu(Side):
    """A qemu-storage-daemon that exports block device `d`."""

    def storage_daemon(self, socket_path, *blockdevs):
        """Start one; blockdevs: of which the last is exported."""
        arguments = []
        for blockdev in blockdevs:
            arguments += ["--blockdev", blockdev]
        node = blockdevs[-1].split("node-name=")[1].split(",")[0]
        process = self.spawn(
            "qemu-storage-daemon", *arguments,
            "--nbd-server", f"addr.type=unix,addr.path={socket_path}",
            "--export", f"nbd,id=e,node-name={node},name=d,writable=on")
        wait_for(socket_path, process, "qemu-storage-daemon")

    def blockdev(self, name):
        """A file of this side, as a block device of that name."""
        return f"file,node-name={name},filename={self.file(name, self.size)}," \
               "cache.direct=on,aio=io_uring"

    def serve(self, *blockdevs):
        """Start the one that fio speaks to."""
        self.storage_daemon(f"{self.where}/socket", *blockdevs)
        self.arguments = nbd_arguments(f"{self.where}/socket", "d")


class Null(Qemu):
    """An export that does nothing."""

    def start(self):
        super().start()
        self.serve(f"null-co,node-name=null,size={self.size},read-zeroes=on")


class Export(Qemu):
    """An export of one file."""

    def start(self):
        super().start()
        self.serve(self.blockdev("disk"))


class Quorum(Qemu):
    """One process that writes to two files."""

    QUORUM = "quorum,node-name=q,vote-threshold=2,read-pattern=fifo,children.0=a,children.1=b"

    def start(self):
        super().start()
        self.serve(self.blockdev("a"), self.second(), self.QUORUM)

    def second(self):
        """The second block device."""
        return self.blockdev("b")


class QuorumLine(Quorum):
    """The second file is another process's. They talk over a UNIX socket: over TCP on
    loopback this pair stalls in delayed acknowledgements at depth 32."""

    def second(self):
        self.storage_daemon(f"{self.where}/line", self.blockdev("remote"))
        return f"nbd,node-name=b,server.type=unix,server.path={self.where}/line,export=d"


class Bound(Side):
    """The least that a mirror with a log does (tests/bench/bound.c); `program`, and keys."""

    def __init__(self, name, where, size, program, log_bytes, *keys):
        super().__init__(name, where, size)
        self.program, self.log_bytes, self.keys = program, log_bytes, keys

    def start(self):
        super().start()
        files = {site: [self.file(f"{site}.disk", self.size)] for site in "ab"}
        for site in "ab":
            files[site].append(self.file(f"{site}.log", self.log_bytes))
        port = str(free_port())
        self.begin("copy", port, *files["b"])
        self.begin("serve", f"{self.where}/socket", port, *files["a"])
        self.arguments = nbd_arguments(f"{self.where}/socket", "d")

    def begin(self, *arguments):
        """Start one of the two."""
        process = self.spawn(self.program, *arguments, *self.keys, stdout=subprocess.PIPE)
        if process.stdout.readline() != b"ready\n":
            raise CannotRun(f"{self.program} did not begin")


class Hamirror(Side):
    """Two sites of one mirror, both on this machine, and a daemon for each."""

    CONFIG = """mirror: {mirror}
mode: {mode}
cluster: none
attach: none
memory: {memory}M
sites:
  - name: a
    hosts: [a]
    writelog: {where}/a.log
    disks: [{disks_a}]
  - name: b
    hosts: [b]
    writelog: {where}/b.log
    disks: [{disks_b}]
addresses: {{a: "{address_a}:{port_a}", b: "{address_b}:{port_b}"}}
"""
    ADDRESSES = {"address_a": "127.0.0.1", "address_b": "127.0.0.1"}

    def __init__(self, name, where, size, bindir, **options):
        """bindir: DIR[,KEY=VALUE...], keys of the configuration; options: memory_mib,
        log_bytes, disk_count, mode"""
        super().__init__(name, where, size)
        self.bindir, *self.settings = bindir.split(",")
        self.mirror = "bench"
        self.options = {"memory_mib": 64, "disk_count": 1, "mode": "sync",
                        "log_bytes": max(size, 256 * MIB)} | options
        self.disks = [f"d{i}" for i in range(self.options["disk_count"])]
        self.environment = dict(os.environ, PATH=f"{bindir}:{os.environ['PATH']}")

    def start(self):
        super().start()
        for program in ("hamirror", "hamirrord"):
            need(f"{self.bindir}/{program}")
        for part in ("config", "state", "run", "log", "dev"):
            os.mkdir(f"{self.where}/{part}")
            self.environment[f"HAMIRROR_{part.upper()}_DIR"] = f"{self.where}/{part}"
        for disk in self.disks:
            for site in "ab":
                self.file(f"{site}.{disk}", self.size)
        for site in "ab":
            self.file(f"{site}.log", self.options["log_bytes"], bytes(MIB))
        self.configure()
        self.begin()
        self.arguments = self.disk_arguments(self.disks[0])

    def disk_arguments(self, disk):
        """fio's arguments for one of the disks."""
        return nbd_arguments(f"{self.where}/run/{self.mirror}@a/nbd", disk)

    def configure(self):
        """Write the configuration."""
        lists = {f"disks_{site}": ", ".join(f"{{name: {d}, path: {self.where}/{site}.{d}}}"
                                            for d in self.disks) for site in "ab"}
        text = self.CONFIG.format(mirror=self.mirror, where=self.where,
                                  port_a=free_port(), port_b=free_port(),
                                  memory=self.options["memory_mib"],
                                  mode=self.options["mode"], **self.ADDRESSES,
                                  **lists)
        with open(f"{self.where}/config/{self.mirror}.yaml", "w", encoding="utf-8") as f:
            f.write(text)
            f.writelines(setting.replace("=", ": ") + "\n" for setting in self.settings)

    def begin(self):
        """Create both sites, and let them become level."""
        self.run("create", f"{self.mirror}@a")
        self.daemon("a")
        self.run("promote", f"{self.mirror}@a", "--force")
        self.add_copy()

    def add_copy(self):
        """A blank copy; seconds until it has all."""
        self.run("create", f"{self.mirror}@b", "--copy-of", "a")
        start = time.monotonic()
        self.daemon("b")
        self.wait("the copy has all", self.is_level)
        return time.monotonic() - start

    def is_level(self):
        """Has the copy all that was written?"""
        copy = self.site("b")
        return copy["data"] == "UpToDate" or (self.options["mode"] == "async" and
                                              copy["link"] == "connected" and
                                              copy["lag_bytes"] == 0)

    def run(self, *arguments):
        """A command of hamirror, of which the second word is MIRROR@HOST; it must succeed."""
        host = arguments[1].partition("@")[2]
        done = subprocess.run([*self.within(host), f"{self.bindir}/hamirror", *arguments],
                              check=False,
                              env=self.environment, capture_output=True, text=True)
        if done.returncode != 0:
            raise CannotRun(f"hamirror {' '.join(arguments)}: {done.stdout}{done.stderr}")
        return done.stdout

    def daemon(self, host):
        """Start hamirrord of a host; it has opened its devices when this returns."""
        instance = f"{self.mirror}@{host}"
        control = f"{self.where}/run/{instance}/control"
        if os.path.exists(control):
            os.unlink(control)
        process = self.spawn(*self.within(host), f"{self.bindir}/hamirrord", instance,
                             "--foreground", env=self.environment,
                             stderr=subprocess.DEVNULL)
        wait_for(control, process, f"hamirrord {instance}")
        return process

    def within(self, _host):
        """The first words of a daemon's command."""
        return []

    def status(self, host):
        """The output of `hamirror status --json`."""
        return json.loads(self.run("status", f"{self.mirror}@{host}", "--json"))

    def site(self, name):
        """A site as production sees it."""
        return [s for s in self.status("a")["sites"] if s["name"] == name][0]

    def wait(self, what, holds, seconds=300):
        """Until `holds()`."""
        deadline = time.monotonic() + seconds
        while not holds():
            if time.monotonic() > deadline:
                raise CannotRun(f"waited {seconds} s for: {what}")
            time.sleep(0.05)

    def not_home(self, host):
        """How many records are not at home yet."""
        return [q["count"] for q in self.status(host)["queues"]
                if q["name"] == "records not yet home"][0]

    def settle(self):
        self.wait("all is at home", lambda: all(self.not_home(host) == 0 for host in "ab"))


class Apart(Hamirror):
    """The sites are in network namespaces of their own, with a line between them
    (tests/system/line.c); `line`: its program and keys. `halves`: b and the line have half of
    the processors, this process, a and the clients that it starts have the others."""

    ADDRESSES = {"address_a": "10.78.0.1", "address_b": "10.78.0.2"}

    def __init__(self, name, where, size, bindir, line, halves=False, **options):
        super().__init__(name, where, size, bindir, **options)
        self.line, self.space, self.far = line, {}, []
        half = len(PROCESSORS) // 2
        if halves and half > 0:
            os.sched_setaffinity(0, PROCESSORS[:half])
            self.far = ["taskset", "-c", ",".join(map(str, PROCESSORS[half:]))]

    def start(self):
        if os.geteuid() != 0:
            raise CannotRun("network namespaces need root")
        for program in ("unshare", "nsenter", self.line[0]):
            need(program)
        for host in "ab":
            made = subprocess.Popen(["unshare", "--net", "sh", "-c", "echo; exec cat"],
                                    stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            made.stdout.readline()
            self.space[host] = made
        self.space["line"] = subprocess.Popen(
            [*self.far, self.line[0], *(f"/proc/{self.space[host].pid}/ns/net" for host in "ab"),
             *self.line[1:]], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        if self.space["line"].stdout.readline() != b"ready\n":
            raise CannotRun("there is no line between the sites")
        super().start()

    def within(self, host):
        return [*(self.far if host == "b" else []),
                "nsenter", f"--net=/proc/{self.space[host].pid}/ns/net"]

    def stop(self):
        super().stop()
        for process in self.space.values():
            process.stdin.close()
            process.wait()
        self.space = {}
        os.sched_setaffinity(0, PROCESSORS)


def measure(side, arguments, size, seconds):
    """One run of fio (its jobs together), until all its writes are home: operations, IOPS,
    latencies in microseconds, the servers' processor time per operation. Where each write
    is followed by a flush, the latency is that of both, at each percentile."""
    before = side.cpu_seconds()
    done = subprocess.run(
        ["fio", "--name=t", f"--size={size}", f"--runtime={seconds}", "--time_based",
         "--output-format=json", "--group_reporting", "--percentile_list=50:99:99.9",
         *side.arguments, *arguments], check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise CannotRun(f"fio: {done.stderr}{done.stdout[-500:]}")
    side.settle()
    cpu = side.cpu_seconds() - before
    job = json.loads(done.stdout[done.stdout.index("{"):])["jobs"][0]
    part = max((job[k] for k in ("mixed", "read", "write") if k in job),
               key=lambda p: p["total_ios"])
    flush = job.get("sync", {}).get("lat_ns", {}).get("percentile", {})
    result = {"operations": part["total_ios"], "iops": part["iops"]}
    for column, key in (("p50", "50.000000"), ("p99", "99.000000"), ("p99.9", "99.900000")):
        result[column] = (part["clat_ns"]["percentile"][key] + flush.get(key, 0)) / 1000
    result["cpu"] = cpu * 1e6 / part["total_ios"] if side.processes else None
    return result


def spread(values, digits=0):
    """`median (least..most)`; one value alone; `-` where there is nothing."""
    values = [v for v in values if v is not None]
    if not values:
        return "-"
    text = f"{statistics.median(values):.{digits}f}"
    if len(values) > 1:
        text += f" ({min(values):.{digits}f}..{max(values):.{digits}f})"
    return text


def builds_of(bindirs):
    """{name: folder and keys} of all --bindir NAME=DIR; one alone needs no name."""
    builds = {}
    for number, build in enumerate(bindirs or ["/usr/sbin"]):
        place, *settings = build.split(",")
        name, _, path = place.rpartition("=")
        builds[name or ("hamirror" if number == 0 else f"hamirror{number}")] = \
            ",".join([os.path.abspath(path), *settings])
    return builds


def add_arguments(parser):
    """The options that compare and count share."""
    parser.add_argument("--bindir", action="append", metavar="[NAME=]DIR[,KEY=VALUE]",
                        help="where hamirror and hamirrord are (/usr/sbin), and keys of the "
                        "configuration; said more than once, these are measured side by side")
    parser.add_argument("--dir", default="/var/tmp", help="a directory with room")
    parser.add_argument("--works", default=",".join(WORKS),
                        type=lambda text: names_in(text, WORKS), help="(all) %(default)s")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5, help="of each run")
    parser.add_argument("--size-mib", type=int, default=256, help="of each disk")
    parser.add_argument("--memory-mib", type=int, default=64, help="of each hamirrord")


def names_in(text, known):
    """The names of a list with commas; each is known."""
    names = text.split(",")
    for name in names:
        if name not in known:
            raise ValueError(name)
    return names
