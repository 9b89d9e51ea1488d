// Command crdcompat holds the CustomResourceDefinitions against those of the
// last release: an object that was accepted then is accepted now and means the
// same, and who reads a field still finds it.
//
// The last release is a folder beside this file and not a tag of Git, so that a
// checkout without history is checked too. A release begins with -update, which
// refuses what the check refuses; see docs/releasing.md.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// folders are where the definitions and the exceptions are.
type folders struct {
	current, baseline, exceptions string
}

func main() {
	var f folders
	flag.StringVar(&f.current, "current", "config/crd/bases", "folder with the definitions as they are now")
	flag.StringVar(&f.baseline, "baseline", "hack/crdcompat/baseline", "folder with those of the last release")
	flag.StringVar(&f.exceptions, "exceptions", "hack/crdcompat/exceptions.yaml", "file with the changes that break something and are meant")
	update := flag.Bool("update", false, "make what is now the last release, if it is compatible")
	flag.Parse()
	if err := run(f, *update); err != nil {
		fmt.Fprintln(os.Stderr, "crdcompat:", err)
		os.Exit(1)
	}
}

func run(f folders, update bool) error {
	before, err := read(f.baseline)
	if err != nil {
		return err
	}
	after, err := read(f.current)
	if err != nil {
		return err
	}
	except, err := readExceptions(f.exceptions)
	if err != nil {
		return err
	}
	left, unused := except.apply(compare(before, after))
	if len(left) > 0 {
		return fmt.Errorf("incompatible with the last release; where it is meant, write the line and a reason to %s:\n  %s", f.exceptions, strings.Join(left, "\n  "))
	}
	if len(unused) > 0 {
		return fmt.Errorf("%s: expected changes that are there, found %q: remove them", f.exceptions, unused)
	}
	if !update {
		return nil
	}
	return release(f)
}

// release copies the definitions, and forgets the exceptions: they were for the
// way from the release before.
func release(f folders) error {
	old, err := files(f.baseline)
	if err != nil {
		return err
	}
	current, err := files(f.current)
	if err != nil {
		return err
	}
	for _, name := range current {
		content, err := os.ReadFile(filepath.Join(f.current, name))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(f.baseline, name), content, 0o644); err != nil {
			return err
		}
	}
	for _, name := range old {
		if !slices.Contains(current, name) {
			if err := os.Remove(filepath.Join(f.baseline, name)); err != nil {
				return err
			}
		}
	}
	return writeExceptions(f.exceptions)
}
