package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// buildLimit is how long building a test program may take.
const buildLimit = 10 * time.Minute

// verdict is what became of a mutant.
type verdict int

const (
	survived verdict = iota
	killed
	timedOut // killed by the limit of time
	noBuild
)

func (v verdict) String() string {
	return [...]string{"survived", "killed", "killed by the time limit", "does not compile"}[v]
}

// tester tests the mutants of a package.
type tester struct {
	options
	targets []pkg           // the packages whose tests run
	sums    []string        // of their test programs without a defect
	limits  []time.Duration // of their runs
	dir     string          // for files of ours
}

// newTester builds and runs the tests without a defect, which must pass.
func newTester(o options, p pkg, dir string) (*tester, error) {
	x := &tester{options: o, targets: []pkg{p}, dir: dir}
	if len(o.tests) > 0 {
		more, err := list(o.root, o.tests)
		if err != nil {
			return nil, err
		}
		x.targets = append(x.targets, more...)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	program := filepath.Join(dir, "test")
	for _, target := range x.targets {
		if out, err := x.build(target, program, ""); err != nil {
			return nil, fmt.Errorf("the tests of %s do not build: %w: %s", target.ImportPath, err, out)
		}
		sum, err := sumOf(program)
		if err != nil {
			return nil, err
		}
		began := time.Now()
		limit := o.timeout
		if limit == 0 {
			limit = 10 * time.Minute
		}
		if sum != "" {
			if out, err := x.exec(target, program, limit); err != nil {
				return nil, fmt.Errorf("the tests of %s fail without a defect: %w: %s", target.ImportPath, err, out)
			}
		}
		if o.timeout == 0 {
			limit = 10*time.Second + 5*time.Since(began)
		}
		x.sums, x.limits = append(x.sums, sum), append(x.limits, limit)
	}
	return x, nil
}

// sumOf returns a sum of the program, or "" if go test made none for want of tests.
func sumOf(program string) (string, error) {
	text, err := os.ReadFile(program)
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	return fmt.Sprintf("%x", sha256.Sum256(text)), err
}

// test tests m. It uses the directory dir, which it makes and removes.
func (x *tester) test(m *mutant, dir string) (verdict, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	src, err := os.ReadFile(m.path)
	if err != nil {
		return 0, err
	}
	file, overlay, program := filepath.Join(dir, "mutant.go"), filepath.Join(dir, "overlay.json"), filepath.Join(dir, "test")
	text := string(src[:m.from]) + m.text + string(src[m.to:])
	replace, err := json.Marshal(map[string]map[string]string{"Replace": {m.path: file}})
	if err := errors.Join(err, os.WriteFile(file, []byte(text), 0o600), os.WriteFile(overlay, replace, 0o600)); err != nil {
		return 0, err
	}
	for i, target := range x.targets {
		if x.sums[i] == "" {
			continue
		}
		if _, err := x.build(target, program, overlay); errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
			return 0, err
		} else if err != nil {
			return noBuild, nil
		}
		sum, err := sumOf(program)
		if err != nil {
			return 0, err
		}
		if sum == x.sums[i] {
			continue // no test can tell: it makes no difference, or no test calls this code
		}
		_, err = x.exec(target, program, x.limits[i])
		switch {
		case x.ctx.Err() != nil:
			return 0, x.ctx.Err()
		case errors.Is(err, errTime):
			return timedOut, nil
		case err != nil:
			return killed, nil
		}
	}
	return survived, nil
}

// build builds the test program of p. Without paths and ids in it, equal code makes equal
// programs.
func (x *tester) build(p pkg, program, overlay string) ([]byte, error) {
	args := []string{"test", "-c", "-vet=off", "-trimpath", "-ldflags=-s -w -buildid=", "-o", program}
	if overlay != "" {
		args = append(args, "-overlay="+overlay)
	}
	ctx, cancel := context.WithTimeout(x.ctx, buildLimit)
	defer cancel()
	// A package without tests makes no program, so that of another must not stand there.
	if err := os.Remove(program); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, "go", append(args, p.ImportPath)...)
	cmd.Dir = x.root
	cmd.WaitDelay = 2 * time.Second
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		return out, errors.Join(ctx.Err(), err)
	}
	return out, err
}

// errTime says that the tests took too long.
var errTime = errors.New("the time is up")

// exec runs a test program of p for limit at most, and kills what it has started.
func (x *tester) exec(p pkg, program string, limit time.Duration) ([]byte, error) {
	ctx, cancel := context.WithTimeout(x.ctx, limit)
	defer cancel()
	script := `exec "$@"`
	env := os.Environ()
	if x.memory > 0 {
		script = fmt.Sprintf("ulimit -v %d 2>/dev/null; %s", x.memory<<10, script)
		env = append(env, fmt.Sprintf("GOMEMLIMIT=%dMiB", x.memory/2))
	}
	scratch, err := os.MkdirTemp(x.dir, "run")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(scratch)
	args := []string{"-c", script, "sh", program, "-test.failfast", "-test.timeout=0", "-test.paniconexit0"}
	if x.run != "" {
		args = append(args, "-test.run="+x.run)
	}
	if x.skip != "" {
		args = append(args, "-test.skip="+x.skip)
	}
	cmd := exec.CommandContext(ctx, "sh", args...)
	cmd.Dir = p.Dir
	cmd.Env = append(env, "TMPDIR="+scratch)
	out := new(tail)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 2 * time.Second // what still holds its output is not waited for
	err = cmd.Run()
	if cmd.Process != nil {
		// What the tests have left behind in their group. Usually there is nothing.
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	}
	if ctx.Err() != nil {
		err = errTime
	}
	return out.text, err
}

// tail keeps the last 4 KiB that are written to it. A mutant may write without end.
type tail struct{ text []byte }

func (t *tail) Write(p []byte) (int, error) {
	t.text = append(t.text, p...)
	if extra := len(t.text) - 4096; extra > 0 {
		t.text = append(t.text[:0], t.text[extra:]...)
	}
	return len(p), nil
}

func (t *tail) String() string { return strings.TrimSpace(string(bytes.ToValidUTF8(t.text, nil))) }
