// Command assay is for the authors of modules, who push and sign them, and for
// reviewers, who check in CI what a ModuleSource would have verified in the
// cluster: with the controller's own code.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// version is set by the linker.
var version string

func main() {
	ends := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) { // nohup
		ends = append(ends, syscall.SIGHUP)
	}
	ctx, stop := signal.NotifyContext(context.Background(), ends...)
	// The second signal ends the process at once, whatever it waits for.
	context.AfterFunc(ctx, stop)
	code := run(ctx, newTerminal(), os.Args[1:])
	stop()
	os.Exit(code)
}

// run runs one command line, and returns what the process exits with.
func run(ctx context.Context, t *terminal, args []string) int {
	out := &output{w: t.out}
	t.out = out
	root := newRootCommand(t)
	root.SetArgs(args)
	command, err := root.ExecuteContextC(ctx)
	if out.err != nil && (err == nil || isSilent(err)) {
		err = fmt.Errorf("writing the output: %w", out.err)
	}
	return t.report(ctx, command, err)
}
