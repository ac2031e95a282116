"""The house around the programs: ./dev run as people use it, and the daemon's command line."""

import os
import pathlib
import re
import shutil
import signal
import stat
import subprocess
import threading
import unittest

import harness

NAME = "dev"


def descendants(pid):
    """The pids below this one, as /proc has them now."""
    parents = {}
    for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # gone meanwhile
        parents[int(path.parent.name)] = int(fields[1])
    found = {pid}
    while True:
        more = {p for p, parent in parents.items() if parent in found} - found
        if not more:
            return found - {pid}
        found |= more


def alive(pid):
    try:
        state = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


def command_line(pid):
    return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()


class DevRun:
    """./dev run with the programs of this build, in a state directory of its own."""

    def __init__(self, state, *options, environment=None):
        self.state = state
        self.process = subprocess.Popen(
            [harness.SRCDIR / "dev", "run", "--port", "0", "--state", state, *options],
            env=os.environ | {"POSTUREGATE_BUILD": str(harness.BUILDDIR)} | (environment or {}),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.lines = []
        self.seen = threading.Condition()
        self.ended = False
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            with self.seen:
                self.lines.append(line.rstrip("\n"))
                self.seen.notify_all()
        with self.seen:
            self.ended = True
            self.seen.notify_all()

    def ready(self):
        """Waits for the ready line and takes it apart."""
        def found():
            return [l for l in self.lines if l.startswith("ready: ")]
        with self.seen:
            self.seen.wait_for(lambda: found() or self.ended, harness.PATIENCE_S)
            if not found():
                raise AssertionError("no ready line:\n" + self.text() + self.logs())
            line = found()[0]
        match = re.fullmatch(r"ready: (http://127\.0\.0\.1:\d+) name: (\S+) key: (\S+)", line)
        assert match, line
        self.url, self.name, self.key = match.groups()
        self.pids = descendants(self.process.pid)
        return self

    def pid_of(self, program):
        """The part that runs this program (not the workers of nginx)."""
        [pid] = [p for p in self.pids if pathlib.Path(command_line(p).split()[0]).name == program]
        return pid

    def text(self):
        return "\n".join(self.lines) + "\n"

    def logs(self):
        return "".join(f"--- {p}\n{p.read_text(errors='replace')[-3000:]}\n"
                       for p in sorted(self.state.rglob("*.log")))

    def signal(self, number):
        self.process.send_signal(number)

    def wait(self):
        try:
            return self.process.wait(harness.PATIENCE_S)
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
            self.reader.join(harness.PATIENCE_S)
            self.process.stdout.close()

    def get(self, target, key=None):
        done = subprocess.run(
            [harness.program("curl"), "--silent", "--show-error", "--max-time", "60", "--noproxy",
             "*", "--write-out", "%{http_code}", "--output", os.devnull] +
            (["--header", f"Authorization: Bearer {key}"] if key else []) + [self.url + target],
            capture_output=True, text=True, stdin=subprocess.DEVNULL)
        assert done.returncode == 0, done.stderr
        return int(done.stdout)


class Run(unittest.TestCase):
    def setUp(self):
        harness.program("curl")
        self.state = harness.temporary_directory()
        self.addCleanup(shutil.rmtree, self.state, ignore_errors=True)

    def dev_run(self, *options, **more):
        run = DevRun(self.state, *options, **more)

        def end():
            if run.process.poll() is None:
                run.signal(signal.SIGTERM)
                run.wait()
        self.addCleanup(end)
        return run

    def check_gone(self, run):
        harness.wait_until(lambda: not [p for p in run.pids if alive(p)], "all parts are gone")

    def check_stops(self, run, number):
        run.signal(number)
        self.assertEqual(run.wait(), 0, run.text())
        self.check_gone(run)

    def test_serves_stops_and_keeps_its_key(self):
        run = self.dev_run().ready()
        self.assertEqual(run.name, NAME)
        self.assertRegex(run.key, rf"^{NAME}\.[0-9a-f]{{64}}$")
        self.assertEqual(run.get("/healthz"), 200)
        self.assertEqual(run.get("/v1/postures?policy=1001&limit=1", run.key), 200, run.logs())
        self.assertEqual(run.get("/v1/postures?policy=1001&limit=1"), 401)
        self.assertIn("simulated upstream: http://127.0.0.1:", run.text())
        for file in ["key", "upstream-password", "posturegate.conf"]:
            mode = stat.S_IMODE((self.state / file).stat().st_mode)
            self.assertEqual(oct(mode), oct(0o600), file)
        self.check_stops(run, signal.SIGINT)

        again = self.dev_run().ready()
        self.assertEqual(again.key, run.key)
        self.check_stops(again, signal.SIGTERM)

    def test_stops_by_a_signal_while_starting(self):
        run = self.dev_run()
        harness.wait_until(lambda: (self.state / "simulator.log").exists(), "it begins to start")
        run.pids = descendants(run.process.pid)
        self.check_stops(run, signal.SIGTERM)

    def test_a_part_that_dies_ends_all_and_names_its_log(self):
        for program, log in [("posturegate", "gateway.log"), ("nginx:", "nginx-error.log"),
                             ("posturegate-simulator", "simulator.log")]:
            with self.subTest(program):
                run = self.dev_run().ready()
                if program == "nginx:":
                    [pid] = [p for p in run.pids if command_line(p).startswith("nginx: master")]
                else:
                    pid = run.pid_of(program)
                os.kill(pid, signal.SIGKILL)
                self.assertEqual(run.wait(), 1)
                self.assertRegex(run.text(), rf"has ended: read \S*/{re.escape(log)}")
                self.check_gone(run)

    def test_killed_itself_it_leaves_nothing_behind(self):
        run = self.dev_run().ready()
        run.signal(signal.SIGKILL)
        run.wait()
        self.check_gone(run)

    def test_bad_settings_end_it_with_what_the_daemon_says(self):
        run = self.dev_run("--set", "cache.no_such_name=1")
        self.assertEqual(run.wait(), 1)
        self.assertIn("has ended: read", run.text())
        self.assertIn("no_such_name", run.text())

    def test_settings_are_laid_over(self):
        extra = self.state / "extra.ini"
        extra.write_text("[gateway]\nlog_level = nonsense\n")
        run = self.dev_run("--settings", str(extra))
        self.assertEqual(run.wait(), 1)
        self.assertIn("extra.ini:2: ", run.text())
        extra.write_text("[gateway]\nlog_level = debug\n")
        run = self.dev_run("--settings", str(extra), "--set", "gateway.workers=64").ready()
        self.check_stops(run, signal.SIGTERM)

    def test_one_state_one_run(self):
        first = self.dev_run().ready()
        second = self.dev_run()
        self.assertEqual(second.wait(), 1)
        self.assertIn("another ./dev run uses", second.text())
        self.check_stops(first, signal.SIGTERM)

    def test_port_in_use_names_nginx_log(self):
        first = self.dev_run().ready()
        other = harness.temporary_directory()
        self.addCleanup(shutil.rmtree, other, ignore_errors=True)
        second = DevRun(other, "--port", first.url.rpartition(":")[2])
        self.assertEqual(second.wait(), 1)
        self.assertIn("nginx-error.log", second.text())
        self.assertIn("Address already in use", second.text())
        self.check_stops(first, signal.SIGTERM)

    def test_other_upstream_needs_its_account(self):
        run = self.dev_run("--upstream", "http://127.0.0.1:1",
                           environment={"POSTUREGATE_UPSTREAM_USERNAME": "u"})
        self.assertEqual(run.wait(), 1)
        self.assertIn("POSTUREGATE_UPSTREAM_PASSWORD", run.text())

    def test_other_upstream_and_its_secret_stays_in_the_file(self):
        upstream = harness.Stack()
        self.addCleanup(upstream.close)
        upstream.start_simulator()
        run = self.dev_run("--upstream", upstream.upstream, environment={
            "POSTUREGATE_UPSTREAM_USERNAME": upstream.username,
            "POSTUREGATE_UPSTREAM_PASSWORD": upstream.password}).ready()
        self.assertEqual(run.get("/v1/postures?policy=1001&limit=1", run.key), 200, run.logs())
        file = self.state / "upstream-password"
        self.assertEqual(file.read_text(), upstream.password)
        self.assertEqual(oct(stat.S_IMODE(file.stat().st_mode)), oct(0o600))
        for pid in run.pids:
            self.assertNotIn(upstream.password, command_line(pid))
            try:
                environment = pathlib.Path(f"/proc/{pid}/environ").read_text(errors="replace")
            except PermissionError:
                continue  # the daemon lets nobody look
            self.assertNotIn(upstream.password, environment)
        self.check_stops(run, signal.SIGTERM)
        self.assertNotIn(upstream.password, run.text() + run.logs())

    def test_unknown_argument_is_refused(self):
        run = self.dev_run("--prot", "80")
        self.assertEqual(run.wait(), 1)
        self.assertIn("unknown argument '--prot'", run.text())


class CommandLine(unittest.TestCase):
    def setUp(self):
        self.dir = harness.temporary_directory()
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)

    def gateway(self, *arguments):
        return subprocess.run([harness.GATEWAY, *arguments], capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, timeout=harness.PATIENCE_S)

    def test_version_and_help(self):
        got = self.gateway("--version")
        self.assertEqual((got.returncode, got.stderr), (0, ""))
        self.assertRegex(got.stdout, r"^posturegate \d+\.\d+")
        got = self.gateway("--help")
        self.assertEqual(got.returncode, 0)
        page = (harness.SRCDIR / "docs" / "posturegate.8").read_text()
        for option in re.findall(r"--([a-z-]+)", got.stdout):
            self.assertRegex(page, rf"(?m)^\.(It Fl|Fl) .*-{option}\b", "not in the manual page")

    def test_unknown_option_is_refused(self):
        got = self.gateway("--no-such-option")
        self.assertEqual(got.returncode, 2)
        self.assertTrue(got.stderr)

    def test_check_names_file_line_and_cure(self):
        bad = self.dir / "bad.ini"
        bad.write_text("[upstream]\nurl = https://example.com\n\n[cache]\nfresh_for = soon\n")
        got = self.gateway("--check", bad)
        self.assertNotEqual(got.returncode, 0)
        self.assertIn(f"{bad}:5: ", got.stdout + got.stderr)

    def test_check_accepts_good_settings(self):
        stack = harness.Stack(upstream="https://upstream.example.com")
        self.addCleanup(stack.close)
        stack.state_dir.mkdir()
        stack.write_settings()
        got = self.gateway("--check", stack.settings_file)
        self.assertEqual(got.returncode, 0, got.stdout + got.stderr)

    def test_defaults_are_settings(self):
        """What --print-defaults prints lacks only what has no default."""
        defaults = self.gateway("--print-defaults")
        self.assertEqual(defaults.returncode, 0)
        stack = harness.Stack(upstream="https://upstream.example.com")
        self.addCleanup(stack.close)
        stack.state_dir.mkdir()
        stack.write_settings()
        sample = self.dir / "sample.ini"
        sample.write_text(defaults.stdout)
        got = self.gateway("--check", sample, "--check", stack.settings_file)
        self.assertEqual(got.returncode, 0, got.stdout + got.stderr)


class Whole(harness.StackTest):
    """The harness's own promises."""

    def test_restart_of_every_part_under_one_client(self):
        stack = self.stack()
        client = stack.client()
        self.assertEqual(client.get("/healthz").status, 200)
        stack.restart_gateway()
        self.assertEqual(client.get("/healthz").status, 200)
        stack.restart_gateway(kill=True)
        self.assertEqual(client.get("/healthz").status, 200)
        self.assertEqual(stack.nginx.stop(), 0)
        stack.start_nginx()
        client.close()
        self.assertEqual(client.get("/healthz").status, 200)

    def test_gateway_down_is_a_problem_and_up_again_is_not(self):
        stack = self.stack()
        self.assertEqual(stack.gateway.stop(), 0)
        answer = stack.client(key="").get("/healthz")
        self.assertEqual(answer.status, 502)
        self.assertEqual(answer.json()["type"], "/problems/gateway-unavailable")
        stack.start_gateway()
        self.assertEqual(stack.client(key="").get("/healthz").status, 200)

    def test_second_daemon_on_the_same_socket_or_store_is_refused(self):
        stack = self.stack()
        second = harness.Part("second", [harness.GATEWAY, "--settings", stack.settings_file],
                              stack.dir / "second.log")
        second.start()
        self.assertNotEqual(second.wait(), 0)
        self.assertEqual(stack.client().get("/healthz").status, 200)


if __name__ == "__main__":
    harness.main()
