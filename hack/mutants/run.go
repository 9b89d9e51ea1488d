package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

const (
	// testTimeout is when tests count as hanging.
	testTimeout = "60s"
	// runTimeout bounds compiling and testing, should the former not end.
	runTimeout = 10 * time.Minute
	// everything is all tests, and the seeds of all fuzz tests.
	everything = "^(Test|Fuzz)"
	// skipped is never run: it runs the whole suite of its package again.
	skipped = "^TestOffline$"
)

// runner runs tests with mutants in the place of files.
type runner struct {
	root string // absolute
	temp string
	wide bool
}

func newRunner(root string, wide bool) (*runner, func(), error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, nil, err
	}
	temp, err := os.MkdirTemp("", "mutants-")
	if err != nil {
		return nil, nil, err
	}
	return &runner{root: root, temp: temp, wide: wide}, func() { _ = os.RemoveAll(temp) }, nil
}

// outcome is what the tests said of a mutant.
type outcome struct {
	failed []string // the tests that failed
	hung   bool
	err    error // of the table, or of the machine
	took   time.Duration
}

func (o outcome) String() string {
	switch {
	case o.err != nil:
		return "an error of the table: " + o.err.Error()
	case o.hung:
		return "killed: its tests hang"
	case len(o.failed) == 0:
		return "SURVIVED"
	default:
		return "killed by " + strings.Join(o.failed, " ")
	}
}

// all tests the mutants, so many at a time, and yields their outcomes in order.
func (r *runner) all(ctx context.Context, mutants []mutant, jobs int) iter.Seq2[int, outcome] {
	outcomes := make([]chan outcome, len(mutants))
	next := make(chan int)
	for i := range outcomes {
		outcomes[i] = make(chan outcome, 1)
	}
	for range jobs {
		go func() {
			for i := range next {
				outcomes[i] <- r.run(ctx, mutants[i])
			}
		}()
	}
	go func() {
		defer close(next)
		for i := range mutants {
			next <- i
		}
	}()
	return func(yield func(int, outcome) bool) {
		for i := range outcomes {
			if !yield(i, <-outcomes[i]) {
				return
			}
		}
	}
}

// run tests one mutant.
func (r *runner) run(ctx context.Context, m mutant) outcome {
	start := time.Now()
	o, err := r.judge(ctx, m)
	o.err, o.took = err, time.Since(start)
	return o
}

func (r *runner) judge(ctx context.Context, m mutant) (outcome, error) {
	overlay, err := r.overlay(m)
	if err != nil {
		return outcome{}, err
	}
	pattern := m.pattern()
	if r.wide {
		pattern = everything
	}
	output, passed, err := r.test(ctx, m.pkg(), pattern, "-overlay="+overlay)
	switch {
	case err != nil:
		return outcome{}, err
	case passed:
		return outcome{}, nil
	case strings.Contains(output, "panic: test timed out after"):
		return outcome{hung: true}, nil
	}
	failed := failures(output, r.wide)
	if len(failed) == 0 {
		return outcome{}, fmt.Errorf("the tests failed and name none that did:\n%s", output)
	}
	return outcome{failed: failed}, nil
}

// baseline runs the tests of the mutants without any.
func (r *runner) baseline(ctx context.Context, mutants []mutant) error {
	patterns := map[string][]string{}
	for _, m := range mutants {
		if !slices.Contains(patterns[m.pkg()], m.pattern()) {
			patterns[m.pkg()] = append(patterns[m.pkg()], m.pattern())
		}
	}
	for _, pkg := range slices.Sorted(maps.Keys(patterns)) {
		pattern := everything
		if !r.wide {
			pattern = strings.Join(patterns[pkg], "|")
		}
		output, passed, err := r.test(ctx, pkg, pattern)
		if err != nil {
			return fmt.Errorf("%s: %w", pkg, err)
		}
		if !passed {
			return fmt.Errorf("%s: the tests fail without a mutant:\n%s", pkg, output)
		}
	}
	return nil
}

// overlay writes the broken file and the JSON that names it, and returns the
// path of the latter.
func (r *runner) overlay(m mutant) (string, error) {
	real := filepath.Join(r.root, filepath.FromSlash(m.file))
	text, err := os.ReadFile(real)
	if err != nil {
		return "", err
	}
	broken, err := m.apply(string(text))
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp(r.temp, "")
	if err != nil {
		return "", err
	}
	fake := filepath.Join(dir, "mutant.go")
	if err := os.WriteFile(fake, []byte(broken), 0o600); err != nil {
		return "", err
	}
	raw, err := json.Marshal(map[string]any{"Replace": map[string]string{real: fake}})
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "overlay.json")
	return path, os.WriteFile(path, raw, 0o600)
}

// test runs the tests of a package that the pattern names.
func (r *runner) test(ctx context.Context, pkg, pattern string, flags ...string) (output string, passed bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, runTimeout)
	defer cancel()
	arguments := append([]string{"test", "-count=1", "-vet=off", "-timeout=" + testTimeout, "-run=" + pattern, "-skip=" + skipped}, flags...)
	if !r.wide {
		arguments = append(arguments, "-failfast")
	}
	command := exec.CommandContext(ctx, "go", append(arguments, "./"+pkg)...)
	command.Dir = r.root
	var both bytes.Buffer
	command.Stdout, command.Stderr = &both, &both
	err = command.Run()
	output = both.String()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return output, false, ctx.Err()
	case err != nil && !errors.As(err, &exit):
		return output, false, err
	case strings.Contains(output, "[build failed]"), strings.Contains(output, "[setup failed]"):
		return output, false, fmt.Errorf("it does not compile:\n%s", output)
	case strings.Contains(output, "[no tests to run]"), strings.Contains(output, "[no test files]"):
		return output, false, fmt.Errorf("no test is named %s", pattern)
	}
	return output, err == nil, nil
}

var failure = regexp.MustCompile(`(?m)^ *--- FAIL: (\S+)`)

// failures are the tests that failed: of all only the outermost, or the first
// innermost one.
func failures(output string, all bool) []string {
	var names []string
	for _, found := range failure.FindAllStringSubmatch(output, -1) {
		names = append(names, found[1])
	}
	switch {
	case len(names) == 0 && strings.Contains(output, "panic: "):
		return []string{"a panic"}
	case all:
		return slices.DeleteFunc(names, func(name string) bool { return strings.Contains(name, "/") })
	case len(names) == 0:
		return nil
	}
	deepest := names[0]
	for _, name := range names[1:] {
		if !strings.HasPrefix(name, deepest+"/") {
			break
		}
		deepest = name
	}
	return []string{deepest}
}
