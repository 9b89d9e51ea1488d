// Command mutants breaks the verdict one line at a time and demands that a test
// fails for each: what can be broken without a test that sees it is not
// proven. Go's -overlay puts the broken file in the place of the real one, so
// that the tree is never touched.
//
// It exits with 1 if a mutant survives, and with 2 if the table is wrong: a text
// that does not occur exactly once, a mutant that does not compile, tests that
// do not exist, or that fail without a mutant.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	err := run(ctx)
	switch {
	case errors.Is(err, errSurvivors):
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	case err != nil:
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(2)
	}
}

// errSurvivors says that some mutant survived.
var errSurvivors = errors.New("there are survivors")

func run(ctx context.Context) error {
	only := flag.String("only", "", "a regular expression for the `names` or files of the mutants to run")
	shard := flag.String("shard", "1/1", "`i/n`: the i-th of n parts")
	list := flag.Bool("list", false, "list the mutants, and run none")
	wide := flag.Bool("wide", false, "run all tests of the package and name all that fail, to find those that a new mutant ought to name")
	jobs := flag.Int("jobs", runtime.NumCPU(), "how many mutants to run at a time: linking, which takes the most, uses one processor")
	root := flag.String("root", ".", "the `folder` of the module")
	flag.Parse()

	chosen, err := choose(table, *only, *shard)
	if err != nil {
		return err
	}
	if *list {
		for _, m := range chosen {
			fmt.Printf("%-36s %s\n", m.name, m.where())
		}
		fmt.Printf("%d mutants\n", len(chosen))
		return nil
	}
	r, cleanup, err := newRunner(*root, *wide)
	if err != nil {
		return err
	}
	defer cleanup()
	return report(ctx, r, chosen, max(*jobs, 1))
}

// choose returns the mutants whose names or files match only, and of these the part that
// shard names.
func choose(all []mutant, only, shard string) ([]mutant, error) {
	names, err := regexp.Compile("^(?:" + cmp.Or(only, ".*") + ")$")
	if err != nil {
		return nil, fmt.Errorf("-only: %w", err)
	}
	first, second, _ := strings.Cut(shard, "/")
	part, errPart := strconv.Atoi(first)
	parts, errParts := strconv.Atoi(second)
	if errPart != nil || errParts != nil || part < 1 || part > parts {
		return nil, fmt.Errorf("-shard: expected i/n with i from 1 to n, found %q", shard)
	}
	var matching, chosen []mutant
	for _, m := range all {
		if names.MatchString(m.name) || names.MatchString(m.file) {
			matching = append(matching, m)
		}
	}
	// Neighbours stay together: they share what is compiled.
	chosen = matching[len(matching)*(part-1)/parts : len(matching)*part/parts]
	if len(chosen) == 0 {
		return nil, fmt.Errorf("no mutant is named %q, or the part %s is empty", only, shard)
	}
	return chosen, nil
}

// report runs the mutants, some at a time, and prints a line for each, in their
// order.
func report(ctx context.Context, r *runner, chosen []mutant, jobs int) error {
	began := time.Now()
	if err := r.baseline(ctx, chosen); err != nil {
		return err
	}
	fmt.Printf("%d mutants; their tests pass without them (%.0f s)\n", len(chosen), time.Since(began).Seconds())
	t := tally{}
	for n, o := range r.all(ctx, chosen, jobs) {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		t.count(chosen[n], o)
		fmt.Printf("%3d/%d %5.1fs %-40s %s\n", n+1, len(chosen), o.took.Seconds(), chosen[n].name, o)
	}
	fmt.Printf("%d mutants in %.0f s: %d killed (%d by hanging), %d survived, %d errors of the table\n",
		len(chosen), time.Since(began).Seconds(), t.killed, t.hung, len(t.survivors), t.broken)
	for _, m := range t.survivors {
		fmt.Printf("SURVIVED %s\n  %s\n  - %s\n  + %s\n  tests: %s\n", m.name, m.file, m.old, m.new, m.tests)
	}
	switch {
	case t.broken > 0:
		return errors.New("the table is wrong")
	case len(t.survivors) > 0:
		return errSurvivors
	}
	return nil
}

// tally counts outcomes.
type tally struct {
	killed, hung, broken int
	survivors            []mutant
}

func (t *tally) count(m mutant, o outcome) {
	switch {
	case o.err != nil:
		t.broken++
	case o.hung:
		t.hung++
		t.killed++
	case len(o.failed) > 0:
		t.killed++
	default:
		t.survivors = append(t.survivors, m)
	}
}
