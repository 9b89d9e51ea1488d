//go:build unix

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestCredentialHelperThatHangs is waited for no longer than --timeout.
func TestCredentialHelperThatHangs(t *testing.T) {
	folder := t.TempDir()
	writeFiles(t, folder, map[string]string{"config.json": `{"credsStore": "hangs"}`})
	// It ends by itself some time after the test.
	helper := []byte("#!/bin/sh\nexec sleep 5\n")
	if err := os.WriteFile(filepath.Join(folder, "docker-credential-hangs"), helper, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("DOCKER_CONFIG", folder)
	t.Setenv("PATH", folder+":"+os.Getenv("PATH"))
	got := assay(t, "verify", "oci://registry.example/app", "--cosign-key", fixtureFile(t, "trust/cosign.pub"), "--insecure-ignore-tlog", "--timeout", "100ms")
	if got.code != exitFailed || !strings.Contains(got.err, "it took longer than --timeout") {
		t.Errorf("expected exit %d, found %d: %s", exitFailed, got.code, got.err)
	}
}
