package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/sigstore/cosign/v2/pkg/cosign"

	"github.com/assay-dev/assay/internal/verify"
)

// keyFolder goes to where keys are generated, and returns where it was.
func keyFolder(t *testing.T) (here string) {
	t.Helper()
	withoutTokens(t)
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	return here
}

// TestKeysGenerate: Cosign reads the private half with the password, and the
// controller the public one.
func TestKeysGenerate(t *testing.T) {
	here := keyFolder(t)
	t.Setenv("COSIGN_PASSWORD", keyPassword)
	got := assay(t, "keys", "generate")
	if got.code != exitOK || got.out != "" {
		t.Fatalf("exit %d: %s%s", got.code, got.out, got.err)
	}
	for name, want := range map[string]os.FileMode{"cosign.key": 0o600, "cosign.pub": 0o644} {
		info, err := os.Stat(name)
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: expected mode %o, found %v, %v", name, want, info, err)
		}
	}
	private, err := os.ReadFile("cosign.key")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cosign.LoadPrivateKey(private, []byte(keyPassword), nil); err != nil {
		t.Error(err)
	}
	public, err := os.ReadFile("cosign.pub")
	if err != nil {
		t.Fatal(err)
	}
	keys, err := verify.ParseKeys(public)
	if err != nil || !strings.Contains(got.err, keys[0].Fingerprint()) {
		t.Errorf("expected the fingerprint of %v, %v, found %s", keys, err, got.err)
	}
	if files, err := os.ReadDir("."); err != nil || len(files) != 2 {
		t.Errorf("expected 2 files, found %v, %v", files, err)
	}
	t.Chdir(here)
	golden(t, "keys/generate.txt", regexp.MustCompile(`sha256:[0-9a-f]{64}`).ReplaceAllString(got.err, "sha256:FINGERPRINT"))
}

// TestKeysManifests prints the public half alone.
func TestKeysManifests(t *testing.T) {
	for name, args := range map[string][]string{
		"secret.yaml":    {"-o", "secret"},
		"configmap.yaml": {"-o", "configmap", "--name", "release", "--namespace", "apps", "--output-key-prefix", "other"},
	} {
		t.Run(name, func(t *testing.T) {
			here := keyFolder(t)
			t.Setenv("COSIGN_PASSWORD", "")
			got := assay(t, append([]string{"keys", "generate"}, args...)...)
			if got.code != exitOK {
				t.Fatalf("exit %d: %s", got.code, got.err)
			}
			public, err := filepath.Glob("*.pub")
			if err != nil || len(public) != 1 {
				t.Fatalf("expected a public key, found %v, %v", public, err)
			}
			text, err := os.ReadFile(public[0])
			if err != nil {
				t.Fatal(err)
			}
			t.Chdir(here)
			golden(t, "keys/"+name, got.out, strings.ReplaceAll(strings.TrimSpace(string(text)), "\n", "\n    "), "PUBLIC")
			if strings.Contains(got.out, "PRIVATE") {
				t.Error("the private key is printed")
			}
		})
	}
}

// TestKeysReplace: what exists is kept unless it is said otherwise.
func TestKeysReplace(t *testing.T) {
	for name, c := range map[string]struct {
		exists, answer string
		canAsk         bool
		args           []string
		code           int
		want           string
		replaced       bool
	}{
		"private":       {"cosign.key", "", false, nil, exitUsage, "expected no file cosign.key, found one\nTry: --output-key-prefix with another name\n     --force, and the old key is lost", false},
		"public":        {"cosign.pub", "", false, nil, exitUsage, "expected no file cosign.pub, found one", false},
		"forced":        {"cosign.key", "", false, []string{"--force"}, exitOK, "Wrote the private key to cosign.key", true},
		"no":            {"cosign.key", "n\n", true, nil, exitFailed, "cosign.key exists. Replace it? The old key is lost. [y/N] ", false},
		"yes":           {"cosign.pub", "y\n", true, nil, exitOK, "Wrote the private key to cosign.key", true},
		"another name":  {"cosign.key", "", false, []string{"--output-key-prefix", "new"}, exitOK, "Wrote the private key to new.key", false},
		"folder":        {"cosign.key", "", false, []string{"--output-key-prefix", "new/"}, exitUsage, `--output-key-prefix: expected the path of a file, without .key, found "new/"`, false},
		"no folder":     {"cosign.key", "", false, []string{"--output-key-prefix", "new/cosign"}, exitFailed, "no such file or directory", false},
		"bad name":      {"cosign.key", "", false, []string{"--name", "A b"}, exitUsage, `--name: expected a name in lower case (RFC 1123), found "A b"`, false},
		"bad namespace": {"cosign.key", "", false, []string{"--namespace", "-"}, exitUsage, `--namespace: expected a name in lower case (RFC 1123), found "-"`, false},
		"bad output":    {"cosign.key", "", false, []string{"-o", "json"}, exitUsage, `--output: expected secret, configmap, found "json"`, false},
	} {
		t.Run(name, func(t *testing.T) {
			keyFolder(t)
			t.Setenv("COSIGN_PASSWORD", keyPassword)
			if err := os.WriteFile(c.exists, []byte("old"), 0o640); err != nil {
				t.Fatal(err)
			}
			term, out, stderr := fakeTerminal()
			term.canAsk, term.in = c.canAsk, strings.NewReader(c.answer)
			code := run(t.Context(), term, append([]string{"keys", "generate"}, c.args...))
			if code != c.code || !strings.Contains(stderr.String(), c.want) {
				t.Errorf("expected exit %d and %q, found %d: %s%s", c.code, c.want, code, out, stderr)
			}
			if text, err := os.ReadFile(c.exists); err != nil || (string(text) != "old") != c.replaced {
				t.Errorf("expected to be replaced: %t, found %.20q, %v", c.replaced, text, err)
			}
			if info, err := os.Stat("cosign.key"); c.replaced && (err != nil || info.Mode().Perm() != 0o600) {
				t.Errorf("expected mode 600, found %v, %v", info, err)
			}
		})
	}
}

// TestKeysReplaceBoth: where one half cannot be replaced, the other is not.
func TestKeysReplaceBoth(t *testing.T) {
	keyFolder(t)
	t.Setenv("COSIGN_PASSWORD", keyPassword)
	for folder, file := range map[string]string{"a.pub": "a.key", "b.key": "b.pub"} {
		writeFiles(t, ".", map[string]string{folder + "/x": "", file: "old"})
		got := assay(t, "keys", "generate", "--force", "--output-key-prefix", file[:1])
		if want := "expected a file or nothing at " + folder + ", found a folder"; got.code != exitUsage || !strings.Contains(got.err, want) {
			t.Errorf("expected exit %d and %q, found %d: %s", exitUsage, want, got.code, got.err)
		}
		if text, err := os.ReadFile(file); err != nil || string(text) != "old" {
			t.Errorf("expected %s to be kept, found %.20q, %v", file, text, err)
		}
	}
}

// TestKeysPassword is asked for twice, and must be the same.
func TestKeysPassword(t *testing.T) {
	for name, c := range map[string]struct {
		typed []string
		code  int
		want  string
	}{
		"same":    {[]string{keyPassword, keyPassword}, exitOK, "Password for the private key: \nThe same again: \n"},
		"another": {[]string{keyPassword, "other"}, exitUsage, "expected the same password twice, found two"},
	} {
		t.Run(name, func(t *testing.T) {
			keyFolder(t)
			term, _, stderr := fakeTerminal()
			term.canAsk = true
			term.password = func() ([]byte, error) {
				next := c.typed[0]
				c.typed = c.typed[1:]
				return []byte(next), nil
			}
			if code := run(t.Context(), term, []string{"keys", "generate"}); code != c.code || !strings.Contains(stderr.String(), c.want) {
				t.Errorf("expected exit %d and %q, found %d: %s", c.code, c.want, code, stderr)
			}
			if _, err := os.Stat("cosign.key"); (err == nil) != (c.code == exitOK) {
				t.Errorf("a private key: %v", err)
			}
		})
	}
	keyFolder(t)
	if got := assay(t, "keys", "generate"); got.code != exitUsage || !strings.Contains(got.err, "$COSIGN_PASSWORD") {
		t.Errorf("expected to be told of the variable, found exit %d: %s", got.code, got.err)
	}
}
