package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/assay-dev/assay/test/registry"
)

// newTTY is a terminal: what a person has in hand, and what a program is given.
func newTTY(t *testing.T) (person, program *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("there is no terminal to be had: %v", err)
	}
	t.Cleanup(func() { _ = person.Close() })
	fd := int(person.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = program.Close() })
	return person, program
}

// isShown reports whether a terminal shows what is typed.
func isShown(t *testing.T, terminal *os.File) bool {
	t.Helper()
	state, err := unix.IoctlGetTermios(int(terminal.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return state.Lflag&unix.ECHO != 0
}

// shown collects what a program shows.
type shown struct {
	mutex sync.Mutex
	text  bytes.Buffer
}

func (s *shown) Write(p []byte) (int, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.text.Write(p)
}

func (s *shown) String() string {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.text.String()
}

// TestPasswordInterrupted: Ctrl-C where a password is asked for ends the program,
// and what is typed afterwards is shown.
func TestPasswordInterrupted(t *testing.T) {
	person, program := newTTY(t)
	folder := t.TempDir()
	command := exec.CommandContext(t.Context(), os.Args[0], "keys", "generate")
	command.Dir = folder
	for _, variable := range os.Environ() {
		if !bytes.HasPrefix([]byte(variable), []byte(passwordVariable+"=")) {
			command.Env = append(command.Env, variable)
		}
	}
	command.Env = append(command.Env, runMain+"=1")
	command.Stdin, command.Stdout, command.Stderr = program, program, program
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	var said shown
	go func() { _, _ = person.WriteTo(&said) }()
	for deadline := time.Now().Add(time.Minute); isShown(t, program); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("expected to be asked for a password, found %q", said.String())
		}
	}
	if _, err := person.WriteString("\x03"); err != nil {
		t.Fatal(err)
	}
	if err := command.Wait(); err == nil || command.ProcessState.ExitCode() != exitFailed {
		t.Errorf("expected exit %d, found %v: %q", exitFailed, err, said.String())
	}
	if !isShown(t, program) {
		t.Error("expected that what is typed is shown again, found that it is not")
	}
	if left, _ := filepath.Glob(filepath.Join(folder, "*")); len(left) > 0 {
		t.Errorf("expected no files, found %q", left)
	}
}

// TestColors: a process colours what it says on a terminal alone, and not where
// nobody wants it. The progress bar goes by where the other output goes.
func TestColors(t *testing.T) {
	server := emptyRegistry(t, registry.Options{})
	source := moduleFolder(t, nil)
	for name, c := range map[string]struct {
		isTerminal bool
		variable   string
		colored    bool
	}{
		"terminal":       {true, "TERM=xterm", true},
		"piped":          {false, "TERM=xterm", false},
		"NO_COLOR":       {true, "NO_COLOR=1", false},
		"a dumb display": {true, "TERM=dumb", false},
	} {
		command := exec.CommandContext(t.Context(), os.Args[0], "push", source, "oci://"+server.Host()+"/app", "--version", "1.0.0", "--insecure")
		command.Env = append(os.Environ(), "NO_COLOR=", "TERM=xterm", runMain+"=1", c.variable)
		var said shown
		command.Stdout, command.Stderr = &said, &said
		if c.isTerminal {
			person, program := newTTY(t)
			go func() { _, _ = person.WriteTo(&said) }()
			command.Stdout, command.Stderr = program, program
		}
		if err := command.Run(); err != nil {
			t.Fatalf("%s: %v: %s", name, err, said.String())
		}
		for deadline := time.Now().Add(time.Minute); !strings.Contains(said.String(), "version: 1.0.0"); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%s: expected the end of what is said, found %q", name, said.String())
			}
		}
		if colored := strings.Contains(said.String(), "\x1b[32mPushed\x1b[0m"); colored != c.colored || !colored && strings.Contains(said.String(), "\x1b") {
			t.Errorf("%s: expected colours: %t, found %q", name, c.colored, said.String())
		}
		if bar := strings.Contains(said.String(), "pushing"); bar && !c.isTerminal {
			t.Errorf("%s: expected no progress bar, found %q", name, said.String())
		}
	}
}
