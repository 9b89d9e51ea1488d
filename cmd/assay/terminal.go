package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"
)

// terminal is what a command reads from and writes to. What is asked for goes
// to out, everything else to err.
type terminal struct {
	in       io.Reader
	out, err io.Writer
	// canAsk says that in and err are a terminal, so that a person can be asked.
	canAsk bool
	// color says that out is a terminal that colours are wanted on.
	color bool
	// progress says that err is a terminal on which a line may be overwritten.
	progress bool
	// width of out in columns; 0 where it is no terminal.
	width int
	// password reads one line from the terminal without showing it.
	password func() ([]byte, error)
	// keep remembers how the terminal is set, and returns what sets it so again;
	// nil where there is none.
	keep func() (restore func())
	// program is the name that the program was started by.
	program string
	getenv  func(string) string
	now     func() time.Time
}

func newTerminal() *terminal {
	isTerminal := func(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }
	t := &terminal{
		in: os.Stdin, out: os.Stdout, err: os.Stderr,
		canAsk:   isTerminal(os.Stdin) && isTerminal(os.Stderr),
		color:    isTerminal(os.Stdout) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb",
		progress: isTerminal(os.Stderr) && os.Getenv("TERM") != "dumb",
		password: func() ([]byte, error) { return term.ReadPassword(int(os.Stdin.Fd())) },
		keep:     keepTerminal,
		program:  programName(os.Args[0]),
		getenv:   os.Getenv,
		now:      time.Now,
	}
	if isTerminal(os.Stdout) {
		t.width, _, _ = term.GetSize(int(os.Stdout.Fd()))
	}
	return t
}

// say tells a person what is going on.
func (t *terminal) say(format string, args ...any) { fmt.Fprintf(t.err, format+"\n", args...) }

// confirm asks a person to go on, and is an error unless the answer is yes. An
// interrupt ends the wait for the answer.
func (t *terminal) confirm(ctx context.Context, question string) error {
	fmt.Fprintf(t.err, "%s [y/N] ", question)
	answer, err := t.readLine(ctx)
	if err != nil {
		return err
	}
	if a := strings.ToLower(strings.TrimSpace(answer)); a != "y" && a != "yes" {
		return errors.New("not confirmed: nothing was done")
	}
	return nil
}

// askPassword asks for a line that is not shown. Where it is interrupted, what is
// typed is shown again: the reading goes on until the process ends, and would
// leave the terminal as it is.
func (t *terminal) askPassword(ctx context.Context, question string) ([]byte, error) {
	fmt.Fprintf(t.err, "%s: ", question)
	defer fmt.Fprintln(t.err)
	if t.keep != nil {
		defer t.keep()()
	}
	return await(ctx, t.password)
}

func keepTerminal() func() {
	in := int(os.Stdin.Fd())
	before, err := term.GetState(in)
	if err != nil {
		return func() {}
	}
	// Where the terminal is gone, nothing is typed there.
	return func() { _ = term.Restore(in, before) }
}

func (t *terminal) readLine(ctx context.Context) (string, error) {
	return await(ctx, func() (string, error) {
		line, err := bufio.NewReader(t.in).ReadString('\n')
		if errors.Is(err, io.EOF) {
			err = nil
		}
		return line, err
	})
}

// await waits for what cannot be interrupted, no longer than ctx: the process
// is about to end, and so is what goes on waiting.
func await[T any](ctx context.Context, get func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		value, err := get()
		done <- result{value, err}
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}
