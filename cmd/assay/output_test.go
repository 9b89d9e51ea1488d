package main

import (
	"errors"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/assay-dev/assay/internal/inspect"
	"github.com/assay-dev/assay/internal/verify"
)

// TestOutputPrints: in each format, what an attacker wrote neither moves the
// cursor nor turns the direction of the text, and is what it was when it is read.
func TestOutputPrints(t *testing.T) {
	subject := "a\u202eb\u009b2Jc\x1b[2J\u2028é<&>"
	for _, format := range []string{"json", "yaml"} {
		term, out, _ := fakeTerminal()
		if err := term.print(&outputFlag{format: format}, map[string]string{"subject": subject}, nil); err != nil {
			t.Fatal(err)
		}
		if text := strings.ReplaceAll(out.String(), "\n", ""); strings.ContainsFunc(text, doesNotPrint) {
			t.Errorf("%s: expected what prints, found %q", format, text)
		}
		var found map[string]string
		if err := yaml.Unmarshal(out.Bytes(), &found); err != nil || found["subject"] != subject {
			t.Errorf("%s: expected %q, found %q, %v", format, subject, found["subject"], err)
		}
	}
	block, err := verifyBlock(&inspect.Suggestion{Identity: &verify.IdentitySpec{Issuer: "https://issuer.example", Subject: subject}, Refusal: errors.New("no\u202e")})
	if err != nil || strings.ContainsFunc(strings.ReplaceAll(block, "\n", ""), doesNotPrint) {
		t.Errorf("expected what prints, found %q, %v", block, err)
	}
}

// TestRowsAreBounded: what a signature says of itself does not fill the terminal.
func TestRowsAreBounded(t *testing.T) {
	var r rows
	r.add("key hint", strings.Repeat("é", maxValue))
	r.add("subject", strings.Repeat("x", maxValue))
	var out strings.Builder
	r.print(&out)
	want := "  key hint    " + strings.Repeat("é", maxValue/2) + "… (8192 bytes)\n  subject     " + strings.Repeat("x", maxValue) + "\n"
	if out.String() != want {
		t.Errorf("expected %d bytes, found %d: %.80q", len(want), out.Len(), out.String())
	}
}
