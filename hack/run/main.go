// Command run is Assay's development environment and its demonstration: a real
// etcd, kube-apiserver, OCI registry and controller on loopback, modules that
// are pushed and signed with Cosign's own library, and ModuleSources that tell
// the good from the bad. It prints a table that a person can follow, and stays
// up until it is interrupted.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// patience bounds how long the table may take to be complete.
const patience = 3 * time.Minute

func main() {
	controller := flag.String("controller", "bin/assay-controller", "the controller's binary")
	variables := flag.String("variables", "bin/run.env", "file to write while everything is up, for shells to source")
	once := flag.Bool("once", false, "exit when the table is complete: with 0 only if every row is what it should be")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *controller, *variables, *once); err != nil {
		fmt.Fprintln(os.Stderr, "run:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, controller, variables string, once bool) error {
	env, err := start(ctx, controller)
	if err != nil {
		return err
	}
	defer env.stop()
	rows, err := prepare(ctx, env)
	if err != nil {
		return env.explain(err)
	}
	if err := follow(ctx, env, rows); err != nil {
		return env.explain(err)
	}
	if once {
		return nil // Nothing of it stays to be looked at.
	}
	if err := env.writeVariables(variables); err != nil {
		return err
	}
	env.printUse(rows)
	fmt.Println("\nEverything stays up until Ctrl-C.")
	return env.wait(ctx)
}
