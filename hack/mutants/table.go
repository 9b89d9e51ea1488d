package main

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// mutant is one line that is broken.
type mutant struct {
	// name is unique, and says what is broken.
	name string
	// file is the path of the file in the module, with slashes.
	file string
	// old is a text that occurs exactly once in the file, and new what stands
	// there instead. Short ones survive edits.
	old, new string
	// tests are the tests in the file's package one of which must fail, and does
	// not without the mutant: "TestA|FuzzB", of which the latter is its seeds.
	tests string
}

// table are all mutants, in the order of files.
var table = slices.Concat(
	verifyMutants, windowMutants, termsMutants, policyMutants, identityMutants, boundsMutants,
	registryMutants, reachMutants, fetchMutants, sourceMutants, artifactMutants, controllersMutants,
)

// in says of which file the mutants are.
func in(file string, mutants ...mutant) []mutant {
	for i := range mutants {
		mutants[i].file = file
	}
	return mutants
}

// breaks is a mutant: its name, the old text, the new one, and the tests that
// must fail.
func breaks(name, before, after, tests string) mutant {
	return mutant{name: name, old: before, new: after, tests: tests}
}

// pkg is the folder of the package whose tests must fail.
func (m mutant) pkg() string { return path.Dir(m.file) }

// pattern names the tests for go test -run.
func (m mutant) pattern() string { return "^(?:" + m.tests + ")$" }

func (m mutant) where() string { return m.file + ": " + m.tests }

// apply breaks the text of the file.
func (m mutant) apply(text string) (string, error) {
	if n := strings.Count(text, m.old); n != 1 {
		return "", fmt.Errorf("%s: expected the old text exactly once, found it %d times: %s", m.file, n, m.old)
	}
	return strings.Replace(text, m.old, m.new, 1), nil
}
