package sigstored_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/assay-dev/assay/internal/verify"
	"github.com/assay-dev/assay/test/sigstored"
)

var (
	stack       *sigstored.Stack
	unavailable error
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	var err error
	stack, err = sigstored.Start(context.Background(), os.Stderr)
	if sigstored.MaySkip(err) {
		fmt.Fprintln(os.Stderr, "WARNING: little is tested here:", err)
		unavailable = err
		return m.Run()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := m.Run()
	if err := ended(stack); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// ended closes the stack, and finds nothing left of it.
func ended(stack *sigstored.Stack) error {
	if err := stack.Close(); err != nil {
		return err
	}
	for _, address := range []string{stack.Fulcio, stack.CTLog, stack.Rekor1, stack.Rekor2, stack.TSA} {
		at, err := url.Parse(address)
		if err != nil {
			return err
		}
		if connection, err := net.Dial("tcp", at.Host); err == nil {
			connection.Close()
			return fmt.Errorf("%s still listens", address)
		}
	}
	if _, err := os.Stat(filepath.Dir(stack.TrustedRoot)); !os.IsNotExist(err) {
		return errors.Join(errors.New("expected the files to be gone"), err)
	}
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	return goleak.Find()
}

func needs(t *testing.T) {
	t.Helper()
	if stack == nil {
		t.Skip(unavailable)
	}
}

// Without the programs, the error says so, and whether it may be passed over is
// up to the environment.
func TestUnavailable(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("ASSAY_CACHE", filepath.Join(file, "cache"))
	_, err := sigstored.Start(t.Context(), io.Discard)
	for require, want := range map[string]bool{"": true, "1": true, "require": false} {
		t.Setenv("ASSAY_INTEROP", require)
		if found := sigstored.MaySkip(err); found != want {
			t.Errorf("ASSAY_INTEROP=%q: expected %t, found %t for %v", require, want, found, err)
		}
	}
	if sigstored.MaySkip(nil) || sigstored.MaySkip(io.EOF) {
		t.Error("expected no excuse for other errors")
	}
}

// Fulcio takes tokens as the public instance does, and no others.
func TestTokens(t *testing.T) {
	needs(t)
	who := stack.Email("dev@example.com")
	for name, c := range map[string]struct {
		edit func(claims map[string]any)
		says string
	}{
		"as it is": {func(map[string]any) {}, "public key"}, // There is none in the request.
		"expired":  {func(c map[string]any) { c["exp"] = time.Now().Add(-time.Minute).Unix() }, "identity token"},
		"audience": {func(c map[string]any) { c["aud"] = "other" }, "identity token"},
		"issuer":   {func(c map[string]any) { c["iss"] = "https://accounts.example.com" }, "identity token"},
	} {
		t.Run(name, func(t *testing.T) {
			token, err := stack.Token(who, c.edit)
			if err != nil {
				t.Fatal(err)
			}
			body, err := json.Marshal(map[string]any{"credentials": map[string]string{"oidcIdentityToken": token}})
			if err != nil {
				t.Fatal(err)
			}
			response, err := http.Post(stack.Fulcio+"/api/v2/signingCert", "application/json", strings.NewReader(string(body)))
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			said, _ := io.ReadAll(response.Body)
			if response.StatusCode != http.StatusBadRequest || !strings.Contains(string(said), c.says) {
				t.Errorf("expected an error about the %s, found %s: %s", c.says, response.Status, said)
			}
		})
	}
}

// Rekor v1 takes nothing whose signature does not verify, and knows only what it
// was given.
func TestRekor1Refuses(t *testing.T) {
	needs(t)
	entry := `{"apiVersion":"0.0.1","kind":"hashedrekord","spec":{"data":{"hash":{"algorithm":"sha256","value":"` + strings.Repeat("ab", 32) + `"}},"signature":{"content":"AAAA","publicKey":{"content":"AAAA"}}}}`
	for _, body := range []string{"", "{}", entry} {
		response, err := http.Post(stack.Rekor1+"/api/v1/log/entries", "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != http.StatusBadRequest {
			t.Errorf("%q: expected 400, found %s", body, response.Status)
		}
	}
	for _, path := range []string{"/api/v1/log/entries/x", "/api/v1/log/entries?logIndex=1"} {
		response, err := http.Get(stack.Rekor1 + path)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != http.StatusNotFound {
			t.Errorf("%s: expected 404, found %s", path, response.Status)
		}
	}
}

// The file is the trusted root of the instance, as a policy reads it.
func TestTrustedRoot(t *testing.T) {
	needs(t)
	content, err := os.ReadFile(stack.TrustedRoot)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := verify.ParseTrustedRoot(content); err != nil {
		t.Error(err)
	}
}

// Both releases of Cosign are what they say.
func TestReleases(t *testing.T) {
	needs(t)
	for release, want := range map[sigstored.Cosign]string{sigstored.Cosign2: "v2.", sigstored.Cosign3: "v3."} {
		out, err := stack.Cosign(t.Context(), release, "version", "--json")
		if err != nil {
			t.Fatal(err)
		}
		var version struct{ GitVersion string }
		if err := json.Unmarshal(out, &version); err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(version.GitVersion, want) {
			t.Errorf("expected %s, found %s", want, version.GitVersion)
		}
	}
}
