// Package tutorial takes the way of docs/tutorial.md, command by command, as
// somebody would who knows nothing else.
package tutorial

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/assay-dev/assay/test/controlplane"
)

const (
	// firstBlock is what a reader types into a terminal of its own.
	firstBlock = "make build run\n"
	// patience bounds either terminal: shared machines are slow at times.
	patience = 8 * time.Minute
)

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
	firstTerminal(t, folder, blocks[0])
	out := secondTerminal(t, folder, blocks[1:])
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
	`app\.yaml:1 .*Refused +NoSignature`,
	`exit code 1\b`,
	`alertname="AssayNewerModuleRefused".*firing`,
	`app .*1\.1\.0`,
}

// clone copies the work tree, as git would clone it.
func clone(t *testing.T, root string) string {
	t.Helper()
	folder := t.TempDir()
	list := exec.CommandContext(t.Context(), "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	list.Dir = root
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		if err := copyFile(filepath.Join(folder, name), filepath.Join(root, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	}
	return folder
}

func copyFile(to, from string) error {
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	content, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return err
	}
	return os.WriteFile(to, content, info.Mode().Perm())
}

// firstTerminal runs the first block until the test ends, and is then
// interrupted.
func firstTerminal(t *testing.T, folder, block string) {
	t.Helper()
	out := &bytes.Buffer{}
	run := exec.Command("bash", "-euc", block)
	run.Dir, run.Stdout, run.Stderr = folder, out, out
	// As the race detector is off for those who follow the tutorial.
	run.Env = append(readersEnvironment(), "CGO_ENABLED=0", "GOFLAGS=")
	run.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- run.Wait() }()
	variables := filepath.Join(folder, "bin", "run.env")
	t.Cleanup(func() {
		_ = syscall.Kill(-run.Process.Pid, syscall.SIGINT)
		<-ended
		if _, err := os.Stat(variables); err == nil {
			t.Error("expected bin/run.env to go with what it speaks of")
		}
		if t.Failed() {
			t.Log(out)
		}
	})
	deadline := time.Now().Add(patience)
	for time.Now().Before(deadline) {
		if _, err := os.Stat(variables); err == nil {
			return
		}
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("%s ended: %v", block, err)
		case <-time.After(100 * time.Millisecond):
		}
	}
	t.Fatalf("%s is not up", block)
}

// secondTerminal types the other blocks into one shell, in which no command may
// fail.
func secondTerminal(t *testing.T, folder string, blocks []string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	script, prometheus := "set -euo pipefail\n", freeAddress(t)
	for i, block := range blocks {
		// This machine may use the port for something else.
		block = strings.ReplaceAll(block, "127.0.0.1:9095", prometheus)
		script += fmt.Sprintf("echo '--- block %d' >&2\n%s", i+2, block)
	}
	cmd := exec.CommandContext(ctx, "bash", "-c", script)
	cmd.Dir, cmd.Stdin, cmd.Env = folder, strings.NewReader(""), readersEnvironment()
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

// readersEnvironment is that of a shell: this test may run below a make, which
// tells those below it to print more.
func readersEnvironment() []string {
	return slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "MAKE") || strings.HasPrefix(v, "MFLAGS=") })
}

func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}
