package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/assay-dev/assay/api/v1alpha1"
)

// headline is a verdict in a word, in its colour.
func (t *terminal) headline(status metav1.ConditionStatus) string {
	switch status {
	case metav1.ConditionTrue:
		return t.paint(good, "Verified")
	case metav1.ConditionFalse:
		return t.paint(bad, "Refused")
	default:
		return t.paint(unsure, "Not judged")
	}
}

// print writes a verdict for people.
func (v verdict) print(t *terminal) error {
	name := "oci://" + v.Repository
	if v.Revision != "" {
		name += " " + t.paint(strong, clean(v.Revision))
	}
	fmt.Fprintf(t.out, "%s %s\n", t.headline(v.Verified), name)
	if v.Verified != metav1.ConditionTrue {
		fmt.Fprintf(t.out, "  %s: %s\n", t.paint(strong, v.Reason), clean(v.Message))
		return nil
	}
	for _, s := range v.Signatures {
		printSignature(t.out, s)
	}
	for _, name := range slices.Sorted(maps.Keys(v.Annotations)) {
		printRow(t.out, strings.TrimPrefix(name, "org.opencontainers.image."), v.Annotations[name])
	}
	if v.Note != "" {
		t.say("note: %s", clean(v.Note))
	}
	return nil
}

// printSignature writes who made an accepted signature, and where it is logged.
func printSignature(out io.Writer, s v1alpha1.AcceptedSignature) {
	switch {
	case s.KeyFingerprint != "":
		printRow(out, "signed by", "key "+s.KeyFingerprint)
	default:
		printRow(out, "signed by", s.Subject)
		printRow(out, "vouched by", s.Issuer)
	}
	printRow(out, "format", map[string]string{"cosign": "Cosign v2 (tag)", "bundle": "Sigstore bundle (referrer)"}[s.Format])
	if log := s.TransparencyLog; log != nil {
		where := log.URL
		if where == "" {
			where = log.LogID
		}
		text := fmt.Sprintf("%s, index %d", where, log.Index)
		if log.IntegratedTime != nil {
			text += ", at " + log.IntegratedTime.UTC().Format(time.RFC3339)
		}
		printRow(out, "logged at", text)
	}
	if s.SignedTimestamp != nil {
		printRow(out, "timestamp", s.SignedTimestamp.UTC().Format(time.RFC3339))
	}
	for _, x := range s.Extensions {
		printRow(out, x.Name, x.Value)
	}
}

func printRow(out io.Writer, name, value string) {
	fmt.Fprintf(out, "  %-12s %s\n", clean(name), clean(value))
}

// clean keeps what does not come from here from moving the cursor, adding lines
// or turning the direction of the text: what does not print is quoted.
func clean(text string) string {
	var b strings.Builder
	for _, r := range text {
		if unicode.IsPrint(r) {
			b.WriteRune(r)
			continue
		}
		quoted := strconv.QuoteRuneToASCII(r)
		b.WriteString(quoted[1 : len(quoted)-1])
	}
	return b.String()
}
