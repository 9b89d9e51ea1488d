// Package tutorial takes the way of docs/tutorial.md, command by command, as
// somebody would who knows nothing else.
package tutorial

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/assay-dev/assay/test/controlplane"
)

// firstBlock is what stands for starting the cluster, in a terminal of its own.
const firstBlock = "make build run\n"

func TestTutorial(t *testing.T) {
	root, err := controlplane.Root()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, "docs", "tutorial.md"))
	if err != nil {
		t.Fatal(err)
	}
	var blocks []string
	for _, m := range regexp.MustCompile("(?ms)^```sh\n(.*?)^```").FindAllStringSubmatch(string(text), -1) {
		blocks = append(blocks, m[1])
	}
	if len(blocks) < 10 || blocks[0] != firstBlock {
		t.Fatalf("expected the tutorial to begin with %q, found %q", firstBlock, blocks)
	}
	folder := clone(t, root)
	makeRun(t, root, folder)
	out := shell(t, folder, blocks[1:])
	for _, want := range wanted {
		if !regexp.MustCompile(want).MatchString(out) {
			t.Errorf("expected %q in what is printed", want)
		}
	}
	if t.Failed() {
		t.Log(out)
	}
}

// wanted is what the tutorial says that one sees, in any order.
var wanted = []string{
	`message: "Hello"`,
	`app .*False.*NoSignature`,
	`Warning +NoSignature +ModuleSource/app`,
	`1\.0\.0@sha256:[0-9a-f]{64}`,
	`refused, as it should be`,
	`app .*1\.1\.0`,
}

// clone is a folder that looks like a clone of the repository in which make
// build has run, as far as the tutorial goes.
func clone(t *testing.T, root string) string {
	t.Helper()
	folder := t.TempDir()
	for program, source := range map[string]string{"assay": "./cmd/assay", "assay-controller": ".", "run": "./hack/run"} {
		// As make build does it, and so from its cache.
		build := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(folder, "bin", program), source)
		build.Dir, build.Env = root, append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", program, err, out)
		}
	}
	for _, shared := range []string{"Makefile", "hack", "config", "go.mod"} {
		if err := os.Symlink(filepath.Join(root, shared), filepath.Join(folder, shared)); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

// makeRun does what make run does once everything is built, until the test ends.
func makeRun(t *testing.T, root, folder string) {
	t.Helper()
	out := &bytes.Buffer{}
	run := exec.Command(filepath.Join(folder, "bin", "run"), "-controller", filepath.Join(folder, "bin", "assay-controller"), "-variables", filepath.Join(folder, "bin", "run.env"))
	run.Dir, run.Stdout, run.Stderr = root, out, out
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- run.Wait() }()
	t.Cleanup(func() {
		_ = run.Process.Signal(syscall.SIGINT)
		if err := <-ended; err != nil {
			t.Errorf("make run: %v\n%s", err, out)
		}
		if _, err := os.Stat(filepath.Join(folder, "bin", "run.env")); err == nil {
			t.Error("expected bin/run.env to go with what it speaks of")
		}
	})
	deadline := time.Now().Add(4 * time.Minute)
	for {
		if _, err := os.Stat(filepath.Join(folder, "bin", "run.env")); err == nil {
			return
		}
		select {
		case err := <-ended:
			ended <- nil
			t.Fatalf("make run ended: %v\n%s", err, out)
		case <-time.After(100 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatal("make run is not up")
		}
	}
}

// shell types every block into one shell, in which no command may fail.
func shell(t *testing.T, folder string, blocks []string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	script := "set -euo pipefail\n"
	for i, block := range blocks {
		script += fmt.Sprintf("echo '--- block %d' >&2\n%s", i+2, block)
	}
	cmd := exec.CommandContext(ctx, "bash", "-c", script)
	cmd.Dir, cmd.Stdin = folder, strings.NewReader("")
	// What it starts in the background ends with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = 10 * time.Second
	out, err := cmd.CombinedOutput()
	if cmd.Process != nil {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return string(out)
}
