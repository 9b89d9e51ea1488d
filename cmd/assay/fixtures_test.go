package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/assay-dev/assay/test/fixtures"
	"github.com/assay-dev/assay/test/registry"
)

// fixtureRegistry has every fixture, as a repository of its name, with the
// referrers API or without.
func fixtureRegistry(t *testing.T, hasReferrersAPI bool) *registry.Server {
	t.Helper()
	start := registry.Distribution
	if hasReferrersAPI {
		start = registry.Referrers
	}
	server, err := start(registry.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	for _, name := range fixtures.Names() {
		if _, err := fixtures.Push(t.Context(), name, server.Host(), name, hasReferrersAPI); err != nil {
			t.Fatal(err)
		}
	}
	return server
}

// fixtureFile writes a file of the fixtures to where a command can read it.
func fixtureFile(t *testing.T, name string) string {
	t.Helper()
	raw, err := fixtures.File(name)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), filepath.Base(name))
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestVerifyFixtures: what Cosign's own command lines v2 and v3 signed has the
// verdict of the fixtures' table, in each of its columns.
func TestVerifyFixtures(t *testing.T) {
	table, err := fixtures.Table()
	if err != nil {
		t.Fatal(err)
	}
	root := fixtureFile(t, "trust/trusted_root.json")
	for _, api := range []bool{true, false} {
		server := fixtureRegistry(t, api)
		for _, name := range fixtures.Names() {
			url := "oci://" + server.Host() + "/" + name
			verify := func(flags ...string) ran {
				return assay(t, append([]string{"verify", url, "--version", fixtures.Tag, "--insecure", "--trusted-root", root}, flags...)...)
			}
			key := []string{"--cosign-key", fixtureFile(t, "trust/"+fixtures.KeyName(name)+".pub")}
			who, ok := fixtures.Certified(name)
			if !ok {
				who = fixtures.Email
			}
			identity := []string{"--certificate-identity", who.Subject, "--certificate-oidc-issuer", who.Issuer}
			ignore := []string{"--insecure-ignore-tlog"}
			cells := table[name]
			for column, c := range map[string]struct {
				cell  string
				flags []string
			}{
				"key, ignore":      {cells.KeyIgnore, append(key[:2:2], ignore...)},
				"key, require":     {cells.KeyRequire, key},
				"keyless, require": {cells.KeylessRequire, identity},
				"keyless, ignore":  {cells.KeylessIgnore, append(identity[:4:4], ignore...)},
			} {
				want := exitRefused
				if fixtures.Yes(c.cell) || strings.HasPrefix(c.cell, "only with") { // With its own key.
					want = exitOK
				}
				if got := verify(c.flags...); got.code != want {
					t.Errorf("%s, %s, referrers API %t: expected exit %d, found %d: %s%s", name, column, api, want, got.code, got.out, got.err)
				}
			}
		}
	}
}

// TestInspectFixtures: what inspect suggests accepts the signature that it is
// suggested for, and nothing is suggested for what is none.
func TestInspectFixtures(t *testing.T) {
	root := fixtureFile(t, "trust/trusted_root.json")
	for _, api := range []bool{true, false} {
		server := fixtureRegistry(t, api)
		for _, name := range fixtures.Names() {
			url := "oci://" + server.Host() + "/" + name
			args := []string{"inspect", url, "--tag", fixtures.Tag, "--insecure", "--trusted-root", root}
			got := assay(t, args...)
			if got.code != exitOK || got.err != "" {
				t.Fatalf("%s: exit %d: %s", name, got.code, got.err)
			}
			host := strings.NewReplacer(server.Host(), "REGISTRY")
			golden(t, "inspect/"+name+".txt", host.Replace(got.out))
			for _, format := range []string{"json", "yaml"} {
				got := assay(t, append(args, "--output", format)...)
				golden(t, "inspect/"+name+"."+format, host.Replace(got.out+got.err))
			}
			got = assay(t, append(args, "--print-verify")...)
			golden(t, "inspect/"+name+".verify.yaml", got.out+got.err)
		}
	}
}
