package main

import (
	"fmt"
	"os"
	"slices"

	"sigs.k8s.io/yaml"
)

// exception is a change that breaks something, and why it is made nevertheless.
type exception struct {
	// Change is the line that crdcompat prints, in full: an exception for a
	// field would hide the next change of it.
	Change string `json:"change"`
	Reason string `json:"reason"`
}

type exceptions []exception

const exceptionsHeader = `# Changes since the last release that break something and are meant, each as
# crdcompat prints it, with the reason. The release notes repeat them.
#
# - change: "<the whole line>"
#   reason: <why, and what users do>
`

// readExceptions reads the file, which must be there. Each has a reason.
func readExceptions(file string) (exceptions, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var list exceptions
	if err := yaml.UnmarshalStrict(raw, &list); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	for i, e := range list {
		if e.Change == "" || e.Reason == "" {
			return nil, fmt.Errorf("%s: [%d]: expected a change and a reason, found %q and %q", file, i, e.Change, e.Reason)
		}
	}
	return list, nil
}

func writeExceptions(file string) error {
	return os.WriteFile(file, []byte(exceptionsHeader+"[]\n"), 0o644)
}

// apply takes the changes away that are meant. What it returns besides are the
// exceptions for changes that are not there.
func (e exceptions) apply(changes []string) (left, unused []string) {
	for _, change := range changes {
		if !slices.ContainsFunc(e, func(x exception) bool { return x.Change == change }) {
			left = append(left, change)
		}
	}
	for _, x := range e {
		if !slices.Contains(changes, x.Change) {
			unused = append(unused, x.Change)
		}
	}
	return left, unused
}
