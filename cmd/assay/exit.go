package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// What the process exits with.
const (
	exitOK = 0
	// exitRefused: judged, and the verdict is no.
	exitRefused = 1
	// exitFailed: it could not be judged, or done.
	exitFailed = 2
	// exitUsage: the command line makes no sense.
	exitUsage = 3
)

// exitError is an error that decides what the process exits with.
type exitError struct {
	code int
	err  error
	// silent says that all there is to say was said.
	silent bool
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

// usageError is a command line that makes no sense. The message names the flag
// or argument, what was expected and what was found; instead, if not empty, is
// what to type.
func usageError(instead, format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	if instead != "" {
		err = fmt.Errorf("%w\nTry: %s", err, instead)
	}
	return &exitError{code: exitUsage, err: err}
}

// refused is the verdict no.
func refused(err error) error { return &exitError{code: exitRefused, err: err} }

// refusedSilently is the verdict no, where the output says it.
func refusedSilently() error {
	return &exitError{code: exitRefused, err: errors.New("refused"), silent: true}
}

// failedSilently is for what could not be judged, where the output says why.
func failedSilently() error {
	return &exitError{code: exitFailed, err: errors.New("not judged"), silent: true}
}

// isSilent reports whether all there is to say of an error was said.
func isSilent(err error) bool {
	var exit *exitError
	return errors.As(err, &exit) && exit.silent
}

// report prints an error and returns what to exit with. What a command returns
// without saying more is a failure.
func (t *terminal) report(ctx context.Context, command *cobra.Command, err error) int {
	if err == nil {
		return exitOK
	}
	code := exitFailed
	var exit *exitError
	if errors.As(err, &exit) {
		if code = exit.code; exit.silent {
			return code
		}
	}
	first, more, _ := strings.Cut(err.Error(), "\n")
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		first = "interrupted"
	}
	fmt.Fprintf(t.err, "%s: %s\n", t.program, clean(first))
	for _, line := range strings.FieldsFunc(more, func(r rune) bool { return r == '\n' }) {
		fmt.Fprintln(t.err, clean(line)) // What to type, or what was left.
	}
	if code == exitUsage {
		fmt.Fprintf(t.err, "See: %s --help\n", command.CommandPath())
	}
	return code
}
