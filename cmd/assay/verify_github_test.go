package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/assay-dev/assay/cmd/assay/manifests"
)

// TestGitHubEscapes: what a manifest or a registry says stays inside of its
// command, in one line.
func TestGitHubEscapes(t *testing.T) {
	hostile := "50%\n::error::a,b:c\r##[error]\x1b[2J"
	at := manifests.Position{File: "a,b:c%.yaml", Line: 3, Column: 7}
	r := manifests.Report{
		Problems: []manifests.Problem{{Position: at, Message: hostile}},
		Results: []manifests.Result{
			{Position: at, Namespace: "apps", Name: hostile, Verdict: manifests.Verified, Revision: hostile,
				Notes: []manifests.Note{{Position: at, Field: "spec.tag", Level: manifests.Warning, Message: hostile}}},
			{Position: manifests.Position{File: manifests.Stdin, Line: 1}, Namespace: "apps", Name: "b", Verdict: manifests.Refused, Reason: "NoSignature",
				Problems: []manifests.Problem{{Position: manifests.Position{File: manifests.Stdin, Line: 2}, Message: "x"}}},
		},
	}
	var out bytes.Buffer
	if err := writeGitHub(&out, "", r); err != nil {
		t.Fatal(err)
	}
	golden(t, "files/escapes.github", out.String())
	if n := strings.Count(out.String(), "\n"); n != 4 {
		t.Errorf("expected 4 lines, found %d", n)
	}
}

// TestGitHubPaths: GitHub knows files from the root of the repository, wherever
// the command runs.
func TestGitHubPaths(t *testing.T) {
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "clusters", "a"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Chdir(filepath.Join(root, "clusters"))
	for file, want := range map[string]string{
		"a/app.yaml":                           "clusters/a/app.yaml",
		"../app.yaml":                          "app.yaml",
		filepath.Join(root, "clusters", "app"): "clusters/app",
		"../../app.yaml":                       "../../app.yaml",
		manifests.Stdin:                        manifests.Stdin,
	} {
		if found := workspace(root).path(file); found != want {
			t.Errorf("%s: expected %s, found %s", file, want, found)
		}
	}
	if found := workspace("").path("a/app.yaml"); found != "a/app.yaml" {
		t.Errorf("without a workspace: found %s", found)
	}
}
