package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/assay-dev/assay/internal/verify"
	"github.com/assay-dev/assay/test/fixtures"
)

// TestKeysShow: the fingerprint is that of messages, and the manifest that of keys
// generate; a private key is neither shown nor repeated.
func TestKeysShow(t *testing.T) {
	prefix := newKeyPair(t)
	public, err := os.ReadFile(prefix + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	keys, err := verify.ParseKeys(public)
	if err != nil {
		t.Fatal(err)
	}
	if got := assay(t, "keys", "show", prefix+".pub"); got.code != exitOK || got.out != keys[0].Fingerprint()+"\n" || got.err != "" {
		t.Errorf("expected %s, found exit %d: %s%s", keys[0].Fingerprint(), got.code, got.out, got.err)
	}
	for _, format := range []string{"secret", "configmap"} {
		file := fixtureFile(t, "trust/cosign.pub")
		got := assay(t, "keys", "show", file, "-o", format, "--namespace", "apps")
		if got.code != exitOK || !strings.Contains(string(fixtures.Key("cosign")), "BEGIN PUBLIC KEY") {
			t.Errorf("%s: exit %d: %s", format, got.code, got.err)
		}
		golden(t, "keys/show."+format+".yaml", got.out+got.err)
	}
	got := assay(t, "keys", "show", prefix+".key")
	if got.code != exitUsage || !strings.Contains(got.err, "Try: "+filepath.ToSlash(prefix)+".pub") || got.out != "" {
		t.Errorf("expected exit %d and the public half, found %d: %s%s", exitUsage, got.code, got.out, got.err)
	}
}
