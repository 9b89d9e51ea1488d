package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/assay-dev/assay/internal/inspect"
	"github.com/assay-dev/assay/internal/verify"
)

// print writes what was found for people.
func (r *inspected) print(t *terminal) error {
	signatures, attestations := 0, 0
	for _, f := range r.found {
		if f.Kind == inspect.Attestation {
			attestations++
		} else {
			signatures++
		}
	}
	fmt.Fprintf(t.out, "oci://%s %s\n%s, %s. What follows is what they say of themselves, and no verdict.\n",
		r.repository, t.paint(strong, clean(r.revision.String())), count(signatures, "signature"), count(attestations, "attestation"))
	for i, f := range r.found {
		fmt.Fprintf(t.out, "\n%d. %s, %s\n", i+1, t.paint(strong, string(f.Kind)), map[verify.Format]string{
			verify.FormatCosign: "Cosign v2 (tag)", verify.FormatBundle: "Sigstore bundle (referrer)",
		}[f.Format])
		r.printEntry(t, entryOf(f, r.suggestions[i], r.problems[i]))
	}
	return nil
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func (r *inspected) printEntry(t *terminal, e inspectEntry) {
	var all rows
	row := all.add
	row("predicate", e.PredicateType)
	row("subject", e.Subject)
	row("issuer", e.Issuer)
	for _, name := range verify.ExtensionNames() {
		row(name, e.Extensions[name])
	}
	if e.NotBefore != "" {
		row("certificate", "valid from "+e.NotBefore+" to "+e.NotAfter)
	}
	for _, k := range e.Keys {
		row("key", k+" (by its log entry)")
	}
	if len(e.Keys) == 0 && e.KeyHint != "" {
		row("key", e.KeyHint+" (by its own account)")
	}
	for _, l := range e.Log {
		text := fmt.Sprintf("%s, index %d", cmp.Or(l.URL, l.LogID), l.Index)
		if l.IntegratedTime != "" {
			text += ", at " + l.IntegratedTime
		}
		row("log entry", text)
	}
	for _, at := range e.Timestamps {
		row("timestamp", at)
	}
	if !e.NamesDigest && e.Kind != string(inspect.Unreadable) {
		row("about", "another digest than "+r.revision.Digest)
	}
	row("problem", e.Problem)
	if c := e.Checked; c != nil && c.Verified {
		row("checked", "it is what it claims to be, by the trusted root")
	} else if c != nil {
		row("checked", c.Message)
	}
	all.print(t.out)
}

// suggestionHead stands above every block that is suggested.
const suggestionHead = `# A suggestion to check, and no verdict. Whoever may push to the repository can put
# a signature there: compare this signer with what the module's author publishes.
`

// printVerify writes a verify block for each signer.
func (r *inspected) printVerify(t *terminal) error {
	var blocks []string
	for _, s := range r.suggestions {
		if s == nil {
			continue
		}
		block, err := verifyBlock(s)
		if err != nil {
			return err
		}
		if !slices.Contains(blocks, block) {
			blocks = append(blocks, block)
		}
	}
	if len(blocks) == 0 {
		return fmt.Errorf("%s: expected a signature that a verify block could accept, found none among %d signatures and attestations", r.revision, len(r.found))
	}
	if len(blocks) > 1 {
		t.say("note: %d signers: one block each; take those that you trust", len(blocks))
	}
	fmt.Fprint(t.out, strings.Join(blocks, "---\n"))
	return nil
}

// verifyBlock is the verify block that would accept a signature.
func verifyBlock(s *inspect.Suggestion) (string, error) {
	head := suggestionHead
	authority := map[string]any{"name": "signer"}
	switch {
	case s.Identity != nil:
		authority["keyless"] = map[string]any{"identities": []any{map[string]any{"issuer": s.Identity.Issuer, "subject": s.Identity.Subject}}}
	case s.KeyPEM != "":
		head += "# The key is the one that the log entry names.\n"
		authority["key"] = map[string]any{"data": s.KeyPEM}
	default:
		head += "# The signature does not hold the key that made it: put the author's public key into\n# the ConfigMap, as cosign.pub.\n"
		authority["key"] = map[string]any{"configMapRef": map[string]any{"name": "release-keys"}}
	}
	if s.TransparencyLog == verify.LogIgnore {
		head += "# It is in no transparency log.\n"
		authority["transparencyLog"] = string(verify.LogIgnore)
	}
	if s.Verified == nil && (s.Identity != nil || s.KeyPEM != "") {
		head += "# It was not found to be what it claims to be: " + clean(s.Refusal.Error()) + "\n"
	}
	text, err := marshalYAML(map[string]any{"verify": map[string]any{"authorities": []any{authority}}})
	return head + string(text), err
}
