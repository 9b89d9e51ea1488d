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
	"unicode/utf8"

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
	var r rows
	for _, s := range v.Signatures {
		r.addSignature(s)
	}
	for _, name := range slices.Sorted(maps.Keys(v.Annotations)) {
		r.add(strings.TrimPrefix(name, "org.opencontainers.image."), v.Annotations[name])
	}
	r.print(t.out)
	if v.Note != "" {
		t.say("note: %s", clean(v.Note))
	}
	return nil
}

// rows are named values, one below the other.
type rows [][2]string

// maxValue bounds a value in a row, in bytes. It is beyond what an identity may
// have; what signatures say of themselves may be longer by far.
const maxValue = 4 << 10

// add adds a row, unless the value is empty.
func (r *rows) add(name, value string) {
	if len(value) > maxValue {
		value = strings.ToValidUTF8(value[:maxValue], "") + fmt.Sprintf("… (%d bytes)", len(value))
	}
	if value != "" {
		*r = append(*r, [2]string{clean(name), clean(value)})
	}
}

func (r rows) print(out io.Writer) {
	width := 10
	for _, row := range r {
		width = max(width, utf8.RuneCountInString(row[0]))
	}
	for _, row := range r {
		fmt.Fprintf(out, "  %-*s  %s\n", width, row[0], row[1])
	}
}

// addSignature says who made an accepted signature, and where it is logged.
func (r *rows) addSignature(s v1alpha1.AcceptedSignature) {
	switch {
	case s.KeyFingerprint != "":
		r.add("signed by", "key "+s.KeyFingerprint)
	default:
		r.add("signed by", s.Subject)
		r.add("vouched by", s.Issuer)
	}
	r.add("format", map[string]string{"cosign": "Cosign v2 (tag)", "bundle": "Sigstore bundle (referrer)"}[s.Format])
	if log := s.TransparencyLog; log != nil {
		where := log.URL
		if where == "" {
			where = log.LogID
		}
		text := fmt.Sprintf("%s, index %d", where, log.Index)
		if log.IntegratedTime != nil {
			text += ", at " + log.IntegratedTime.UTC().Format(time.RFC3339)
		}
		r.add("logged at", text)
	}
	if s.SignedTimestamp != nil {
		r.add("timestamp", s.SignedTimestamp.UTC().Format(time.RFC3339))
	}
	for _, x := range s.Extensions {
		r.add(x.Name, x.Value)
	}
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
