package main

import (
	"strings"
	"testing"

	"github.com/assay-dev/assay/test/fixtures"
	"github.com/assay-dev/assay/test/registry"
)

// TestVerifyPrints: a yes, a no and a don't know, in each format.
func TestVerifyPrints(t *testing.T) {
	server := fixtureRegistry(t, true)
	root := fixtureFile(t, "trust/trusted_root.json")
	key := []string{"--cosign-key", fixtureFile(t, "trust/cosign.pub")}
	for name, tt := range map[string]struct {
		repository string
		flags      []string
		code       int
	}{
		"key":          {"v2-key", key, exitOK},
		"keyless":      {"v3-rekor2-github", []string{"--certificate-identity-regexp", `https://github\.com/example-org/app/.*`, "--certificate-oidc-issuer", fixtures.GitHub.Issuer}, exitOK},
		"extension":    {"v2-gitlab", []string{"--certificate-identity", fixtures.GitLab.Subject, "--certificate-oidc-issuer-regexp", ".*/gitlab", "--certificate-extension", "sourceRepositoryRef=refs/heads/main"}, exitOK},
		"not-logged":   {"v3-key-notlog", append(key, "--insecure-ignore-tlog"), exitOK},
		"unsigned":     {"unsigned", key, exitRefused},
		"other-key":    {"other-key-notlog", append(key, "--insecure-ignore-tlog"), exitRefused},
		"other-person": {"v2-email", []string{"--certificate-identity", "mallory@example.com", "--certificate-oidc-issuer", fixtures.Email.Issuer}, exitRefused},
		"no-version":   {"unsigned", append(key, "--version", "9.x"), exitFailed},
		"no-module":    {"nothing", key, exitFailed},
		"pin-differs":  {"v2-key", append(key, "--tag", "1.0.0", "--digest", "sha256:"+strings.Repeat("a", 64)), exitRefused},
	} {
		for _, format := range []string{"", "json", "yaml"} {
			args := append([]string{"verify", "oci://" + server.Host() + "/" + tt.repository, "--insecure", "--trusted-root", root, "--output", format}, tt.flags...)
			got := assay(t, args...)
			if got.code != tt.code {
				t.Errorf("%s: expected exit %d, found %d: %s", name, tt.code, got.code, got.err)
			}
			golden(t, "verify/"+name+"."+map[string]string{"": "txt", "json": "json", "yaml": "yaml"}[format], got.out+got.err, server.Host(), "REGISTRY")
		}
	}
}

// TestVerifyTarget: a revision may be named by flags, or as other tools print it.
func TestVerifyTarget(t *testing.T) {
	server := fixtureRegistry(t, true)
	digest, err := fixtures.Digest("v3-key-notlog")
	if err != nil {
		t.Fatal(err)
	}
	url := "oci://" + server.Host() + "/v3-key-notlog"
	for name, args := range map[string][]string{
		"highest stable": {url},
		"version":        {url, "--version", "1.0.0"},
		"range":          {url, "--version", "1.x"},
		"tag":            {url, "--tag", "1.0.0"},
		"digest":         {url, "--digest", digest},
		"tag in URL":     {url + ":1.0.0"},
		"digest in URL":  {url + "@" + digest},
		"both in URL":    {url + ":1.0.0@" + digest},
		"same digest":    {url + "@" + digest, "--digest", digest},
		"pinned version": {url, "--version", "1.0.0", "--digest", digest},
	} {
		got := assay(t, append([]string{"verify", "--insecure", "--insecure-ignore-tlog", "--cosign-key", fixtureFile(t, "trust/cosign.pub")}, args...)...)
		if got.code != exitOK || !strings.Contains(got.out, digest) {
			t.Errorf("%s: expected %s to be verified, found exit %d: %s%s", name, digest, got.code, got.out, got.err)
		}
	}
}

// TestVerifyUsage: what makes no sense says what to type instead, asks no
// registry, and exits with 3.
func TestVerifyUsage(t *testing.T) {
	server, err := registry.Referrers(registry.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	url, key := "oci://"+server.Host()+"/app", fixtureFile(t, "trust/cosign.pub")
	private := fixtureFile(t, "trust/trusted_root.json")
	digest := "sha256:" + strings.Repeat("a", 64)
	var all strings.Builder
	for _, args := range [][]string{
		{},
		{url},
		{url, "another"},
		{server.Host() + "/app", "--cosign-key", key},
		{"oci://" + server.Host() + "/App", "--cosign-key", key},
		{url, "--cosign-key", key, "--certificate-identity", "dev@example.com"},
		{url, "--certificate-identity", "dev@example.com"},
		{url, "--certificate-oidc-issuer", "https://accounts.example.com"},
		{url, "--certificate-oidc-issuer", "https://accounts.example.com", "--certificate-identity", "a", "--certificate-identity-regexp", "b"},
		{url, "--certificate-oidc-issuer", "https://accounts.example.com", "--certificate-identity-regexp", "("},
		{url, "--certificate-oidc-issuer", "https://accounts.example.com", "--certificate-identity", "a", "--certificate-extension", "githubWorkflowRef"},
		{url, "--certificate-oidc-issuer", "https://accounts.example.com", "--certificate-identity", "a", "--certificate-extension", "nothing=refs/heads/main"},
		{url, "--cosign-key", "missing.pub"},
		{url, "--cosign-key", private},
		{url, "--cosign-key", key, "--version", "1.0.0", "--tag", "latest"},
		{url, "--cosign-key", key, "--version", "one"},
		{url, "--cosign-key", key, "--digest", "sha256:abc"},
		{url + ":1.0.0", "--cosign-key", key, "--tag", "latest"},
		{url + "@" + digest, "--cosign-key", key, "--digest", "sha256:" + strings.Repeat("b", 64)},
		{url, "--cosign-key", key, "--output", "xml"},
		{url, "--cosign-key", key, "--timeout", "0s"},
		{url, "--cosign-key", key, "--tuf-mirror", "https://tuf.example.com"},
		{url, "--cosign-key", key, "--tuf-root", "missing.json"},
		{url, "--cosign-key", key, "--no-such-flag"},
	} {
		got := assay(t, append([]string{"verify"}, args...)...)
		if got.code != exitUsage || got.out != "" {
			t.Errorf("%q: expected exit %d and no output, found %d: %s", args, exitUsage, got.code, got.out)
		}
		all.WriteString("$ assay verify " + strings.Join(args, " ") + "\n" + got.err + "\n")
	}
	golden(t, "verify/usage.txt", all.String(), server.Host(), "REGISTRY", key, "cosign.pub", private, "trusted_root.json")
	if n := len(server.Requests()); n != 0 {
		t.Errorf("expected no request, found %d", n)
	}
}
