package main

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assay-dev/assay/test/fixtures"
	"github.com/assay-dev/assay/test/registry"
	"github.com/assay-dev/assay/test/sigstored"
)

// timoniPage are the command lines in the second column of docs/timoni.md.
func timoniPage(t *testing.T) [][]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "timoni.md"))
	if err != nil {
		t.Fatal(err)
	}
	var found [][]string
	for _, row := range regexp.MustCompile("(?m)^\\| .* \\| `((?:assay|export) [^`]*)` \\|$").FindAllStringSubmatch(string(text), -1) {
		found = append(found, words(row[1]))
	}
	if len(found) != 11 {
		t.Fatalf("docs/timoni.md: expected 11 command lines, one for each of Timoni's, found %d", len(found))
	}
	return found
}

// words splits a command line as a shell does, as far as quotes and placeholders
// go.
func words(line string) []string {
	var list []string
	for _, word := range regexp.MustCompile(`(?:'[^']*'|"[^"]*"|<[^>]*>|[^ '"<])+`).FindAllString(line, -1) {
		list = append(list, strings.NewReplacer(`'`, "", `"`, "").Replace(word))
	}
	return list
}

// reader is somebody who follows the page, in a folder of their own, with a
// registry that stands for ghcr.io.
type reader struct {
	t        *testing.T
	stack    *sigstored.Stack // nil where there is none
	registry *registry.Server
}

// run runs a command line of the page, as somebody.
func (r reader) run(command []string, who *sigstored.Person) ran {
	r.t.Helper()
	args := make([]string, 0, len(command)+8)
	for _, word := range command[1:] {
		args = append(args, r.fill(word, who))
	}
	term, out, stderr := fakeTerminal()
	term.now = time.Now
	code := run(r.t.Context(), term, append(args, r.services(args, who)...))
	return ran{code, out.String(), stderr.String()}
}

// fill puts what there is in place of what the page names.
func (r reader) fill(word string, who *sigstored.Person) string {
	word = strings.ReplaceAll(word, "oci://ghcr.io/", "oci://"+r.registry.Host()+"/")
	if who == nil {
		return word
	}
	word = strings.ReplaceAll(word, "<your email address>", regexp.QuoteMeta(who.Identity.Subject))
	// The issuers of the test are not those of the world.
	if flag, _, _ := strings.Cut(word, "="); flag == "--certificate-oidc-issuer" {
		return flag + "=" + who.Identity.Issuer
	} else if flag == "--certificate-oidc-issuer-regexp" {
		return flag + "=" + regexp.QuoteMeta(who.Identity.Issuer)
	}
	return word
}

// services are the flags that lead to the servers of the test, in place of those
// of the world.
func (r reader) services(args []string, who *sigstored.Person) []string {
	r.t.Helper()
	signs := slices.Contains(args, "--sign=cosign")
	var flags []string
	if args[0] == "push" || args[0] == "verify" || args[0] == "pull" {
		flags = append(flags, "--insecure")
	}
	switch {
	case r.stack == nil && signs:
		return append(flags, "--tlog-upload=false")
	case r.stack == nil && len(flags) > 0:
		return append(flags, "--insecure-ignore-tlog")
	case len(flags) == 0:
		return nil
	}
	flags = append(flags, "--trusted-root="+r.stack.TrustedRoot)
	if signs {
		flags = append(flags, "--rekor-url="+r.stack.Rekor1)
	}
	if signs && who != nil {
		token, err := r.stack.Token(*who)
		if err != nil {
			r.t.Fatal(err)
		}
		flags = append(flags, "--fulcio-url="+r.stack.Fulcio, "--identity-token="+token)
	}
	return flags
}

// must runs a command line that must end with a code.
func (r reader) must(code int, command []string, who *sigstored.Person) {
	r.t.Helper()
	if got := r.run(command, who); got.code != code {
		r.t.Fatalf("%s: expected exit %d, found %d: %s%s", strings.Join(command, " "), code, got.code, got.out, got.err)
	}
}

// at is the command line for another repository.
func at(command []string, url string) []string {
	moved := slices.Clone(command)
	for i, word := range moved {
		if strings.HasPrefix(word, "oci://") {
			moved[i] = url
		}
	}
	return moved
}

// TestTimoniPage: what docs/timoni.md says to type instead of each command line
// of Timoni's page on signing works, one after the other; and what verifies is
// refused of somebody else.
func TestTimoniPage(t *testing.T) {
	page := timoniPage(t)
	stack, err := sigstored.Start(t.Context(), os.Stderr)
	if sigstored.MaySkip(err) {
		t.Logf("WARNING: keyless signing is not tested, and nothing is logged: %v", err)
		stack = nil
	} else if err != nil {
		t.Fatal(err)
	} else {
		t.Cleanup(func() {
			if err := stack.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	t.Chdir(t.TempDir())
	writeFiles(t, filepath.Join("modules", "my-app"), fixtures.Module())
	open := func(t *testing.T) reader {
		return reader{t: t, stack: stack, registry: emptyRegistry(t, registry.Options{})}
	}
	generate, password, push, verify, pull := page[0], page[1], page[2], page[3], page[4]
	if name, _, _ := strings.Cut(password[1], "="); password[0] != "export" || name != "COSIGN_PASSWORD" {
		t.Fatalf("expected the password, found %q", password)
	}
	t.Setenv("COSIGN_PASSWORD", "secret")

	t.Run("with a key", func(t *testing.T) {
		r := open(t)
		r.must(exitOK, generate, nil)
		r.must(exitOK, push, nil)
		r.must(exitOK, verify, nil)
		r.must(exitOK, pull, nil)
		wantFiles(t, "my-module", fixtures.Module())
		if err := os.RemoveAll("my-module"); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(os.Remove("cosign.key"), os.Remove("cosign.pub")); err != nil {
			t.Fatal(err)
		}
		r.must(exitOK, generate, nil)
		r.must(exitRefused, verify, nil)
		r.must(exitRefused, pull, nil)
	})
	if stack == nil {
		return
	}
	dev, mallory := stack.Email("dev@example.com"), stack.Email("mallory@example.com")
	github, gitlab := stack.GitHub("my-org/my-app", "release.yml", "refs/tags/v1.0.0"), stack.GitLab("my-org/my-app", "refs/heads/main")
	podinfo := stack.GitHub("stefanprodan/podinfo", "release.yml", "refs/tags/v1.0.0")
	pushKeyless := page[5]
	for i, who := range map[int]sigstored.Person{6: dev, 7: github, 8: gitlab, 9: podinfo, 10: dev} {
		t.Run(strings.Join(page[i], " "), func(t *testing.T) {
			push := pushKeyless
			if i == 9 {
				push = at(push, "oci://ghcr.io/stefanprodan/modules/podinfo")
			}
			r := open(t)
			r.must(exitOK, push, &who)
			r.must(exitOK, page[i], &who)
			if i == 10 {
				wantFiles(t, "my-module", fixtures.Module())
				if err := os.RemoveAll("my-module"); err != nil {
					t.Fatal(err)
				}
			}
			// The same, signed by somebody else.
			r = open(t)
			r.must(exitOK, push, &mallory)
			r.must(exitRefused, page[i], &who)
			if _, err := os.Stat("my-module"); err == nil {
				t.Error("expected no folder, found one")
			}
		})
	}
}
