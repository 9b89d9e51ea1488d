package registry

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"

	"github.com/assay-dev/assay/internal/verify"
)

// A list in JSON of two bytes an element becomes many times as much in memory:
// of each list, not more is made than can be needed.

// maxManifestLayers bounds the layers of a manifest that are kept.
const maxManifestLayers = 1_000

// maxCandidates bounds the referrers that are kept: one more than are judged.
const maxCandidates = verify.MaxSignatures + 1

// tagList keeps one more than maxTags.
type tagList []string

// UnmarshalJSON implements json.Unmarshaler.
func (l *tagList) UnmarshalJSON(b []byte) error {
	*l = nil
	return eachElement(b, func(decode func(any) error) error {
		var tag string
		if err := decode(&tag); err != nil {
			return err
		}
		if len(*l) <= maxTags {
			*l = append(*l, tag)
		}
		return nil
	})
}

// layerList keeps the first layers, and knows whether there are more.
type layerList struct {
	first []descriptor
	more  bool
}

// UnmarshalJSON implements json.Unmarshaler.
func (l *layerList) UnmarshalJSON(b []byte) error {
	*l = layerList{}
	return eachElement(b, func(decode func(any) error) error {
		var d descriptor
		if err := decode(&d); err != nil {
			return err
		}
		if len(l.first) < maxManifestLayers {
			l.first = append(l.first, d)
		} else {
			l.more = true
		}
		return nil
	})
}

// candidateList keeps the digests of those referrers that may be signatures, and
// one more than are judged; and of as many that say that they are attestations.
type candidateList struct {
	listed       int
	digests      map[string]bool
	attestations map[string]bool
}

// UnmarshalJSON implements json.Unmarshaler.
func (l *candidateList) UnmarshalJSON(b []byte) error {
	*l = candidateList{}
	return eachElement(b, func(decode func(any) error) error {
		var d descriptor
		if err := decode(&d); err != nil {
			return err
		}
		l.listed++
		if isCandidate(d) {
			keep(&l.digests, d.Digest)
		} else if mayHoldBundles(d) {
			keep(&l.attestations, d.Digest)
		}
		return nil
	})
}

func keep(digests *map[string]bool, digest string) {
	if *digests == nil {
		*digests = map[string]bool{}
	}
	if len(*digests) < maxCandidates {
		(*digests)[digest] = true
	}
}

// add is what another page lists.
func (l *candidateList) add(page *candidateList) {
	l.listed += page.listed
	for digest := range page.digests {
		keep(&l.digests, digest)
	}
	for digest := range page.attestations {
		keep(&l.attestations, digest)
	}
}

// sorted is in the order of digests: registries list referrers in any order, and
// verdicts must not depend on it.
func (l *candidateList) sorted() []string { return sortedKeys(l.digests) }

func sortedKeys(digests map[string]bool) []string { return slices.Sorted(maps.Keys(digests)) }

// eachElement calls do for each element of an array, and not for null.
func eachElement(b []byte, do func(decode func(any) error) error) error {
	if bytes.Equal(b, []byte("null")) {
		return nil
	}
	if len(b) == 0 || b[0] != '[' {
		return &json.UnmarshalTypeError{Value: "no array"}
	}
	decoder := json.NewDecoder(bytes.NewReader(b))
	if _, err := decoder.Token(); err != nil {
		return err
	}
	for decoder.More() {
		if err := do(decoder.Decode); err != nil {
			return err
		}
	}
	return nil
}
