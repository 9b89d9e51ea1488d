package main

import (
	"strings"
	"testing"
)

// TestUnknownFlags: what other tools call a flag, and what is misspelt, says what
// to type instead.
func TestUnknownFlags(t *testing.T) {
	for line, want := range map[string]string{
		"verify oci://r.example/a --key cosign.pub":               "Try: --cosign-key\n",
		"sign oci://r.example/a --key cosign.key":                 "Try: --cosign-key\n",
		"pull oci://r.example/a -v 1.0.0":                         "Try: --version\n",
		"push . oci://r.example/a --registry-insecure":            "Try: --insecure\n",
		"push . oci://r.example/a --creds a:b":                    "Try: docker login, whose credentials are taken\n",
		"verify oci://r.example/a --certificate-identty a":        "Try: --certificate-identity\n",
		"verify oci://r.example/a --certificate-identity-regex a": "Try: --certificate-identity-regexp\n",
		"get --all-namespace":                                     "Try: --all-namespaces\n",
		"get --key a":                                             "",
		"get -v":                                                  "",
		"verify oci://r.example/a --no-such-flag":                 "",
		"verify oci://r.example/a --timeout":                      "",
	} {
		got := assay(t, strings.Fields(line)...)
		_, after, _ := strings.Cut(got.err, "\n")
		instead, _, _ := strings.Cut(after, "See: ")
		if got.code != exitUsage || instead != want {
			t.Errorf("%s: expected exit %d and %q, found %d: %s", line, exitUsage, want, got.code, got.err)
		}
	}
}
