package registry

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	testregistry "github.com/assay-dev/assay/test/registry"
)

func TestSelectorHighest(t *testing.T) {
	tests := map[string]struct {
		version, filter string
		tags            []string
		want            string
	}{
		"range":                           {version: "6.x", tags: []string{"5.9.9", "6.0.0", "6.5.4", "6.5.3", "7.0.0"}, want: "6.5.4"},
		"order does not count":            {version: "6.x", tags: []string{"6.5.4", "6.10.0", "6.9.0"}, want: "6.10.0"},
		"tilde":                           {version: "~6.5", tags: []string{"6.5.9", "6.6.0"}, want: "6.5.9"},
		"caret":                           {version: "^6.5.1", tags: []string{"6.5.0", "6.9.0", "7.0.0"}, want: "6.9.0"},
		"two bounds":                      {version: ">=6.0.0 <6.5.0", tags: []string{"5.0.0", "6.4.9", "6.5.0"}, want: "6.4.9"},
		"alternatives":                    {version: "1.x || 3.x", tags: []string{"1.0.0", "2.0.0", "3.0.0", "4.0.0"}, want: "3.0.0"},
		"hyphen":                          {version: "1.0.0 - 2.0.0", tags: []string{"0.9.0", "2.0.0", "2.0.1"}, want: "2.0.0"},
		"all, no version given":           {tags: []string{"1.0.0", "2.0.0"}, want: "2.0.0"},
		"stable before a later candidate": {tags: []string{"1.0.0", "2.0.0-rc.1"}, want: "1.0.0"},
		"candidates where asked for":      {version: ">=1.0.0-0", tags: []string{"1.0.0", "2.0.0-rc.1", "2.0.0-rc.10", "2.0.0-rc.9"}, want: "2.0.0-rc.10"},
		"a tag with v":                    {version: "1.x", tags: []string{"v1.2.0", "1.1.0"}, want: "v1.2.0"},
		"v and none are equal: a tie":     {version: "1.x", tags: []string{"1.2.0", "v1.2.0"}, want: "v1.2.0"},
		"build metadata written as _":     {version: "1.x", tags: []string{"1.2.0_a", "1.2.0_b", "1.1.9"}, want: "1.2.0_b"},
		"build metadata ties with none":   {version: "1.x", tags: []string{"1.2.0", "1.2.0_a"}, want: "1.2.0_a"},
		"not a version of three parts":    {version: "*", tags: []string{"1", "1.2", "latest", "v1", "1.2.3.4", "sha256-ab.sig", "", "vv1.0.0", "V1.0.0", "01.0.0"}, want: ""},
		"nothing matches":                 {version: "6.x", tags: []string{"5.0.0"}, want: ""},
		"no tags":                         {version: "6.x", want: ""},
		"filter":                          {version: ">=0.0.0-0", filter: ".*-arm", tags: []string{"1.0.0-arm", "2.0.0-amd", "1.1.0-arm"}, want: "1.1.0-arm"},
		"filter matches whole tags":       {version: "*", filter: "1", tags: []string{"1.0.0", "2.1.0"}, want: ""},
		"filter is compiled alone":        {version: "*", filter: "1.0.0|2.0.0", tags: []string{"1.0.0", "2.0.0", "12.0.0", "2.0.01"}, want: "2.0.0"},
		"filter sees the tag, not the v":  {version: "*", filter: "v.*", tags: []string{"2.0.0", "v1.0.0"}, want: "v1.0.0"},
		"a large number":                  {version: "*", tags: []string{"1.0.0", "18446744073709551615.0.0", "99999999999999999999.0.0"}, want: "18446744073709551615.0.0"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := selector(t, tt.version, "", "", tt.filter)
			if found := s.highest(tt.tags); found != tt.want {
				t.Errorf("expected %q, found %q", tt.want, found)
			}
			reversed := slices.Clone(tt.tags)
			slices.Reverse(reversed)
			if found := s.highest(reversed); found != tt.want {
				t.Errorf("of the reversed list: expected %q, found %q", tt.want, found)
			}
		})
	}
}

func TestSelectorExact(t *testing.T) {
	tests := map[string]struct{ version, tag string }{
		"version":        {"6.5.4", "6.5.4"},
		"v":              {"v6.5.4", "v6.5.4"},
		"candidate":      {"6.5.4-rc.1", "6.5.4-rc.1"},
		"build metadata": {"6.5.4+build.1", "6.5.4_build.1"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := selector(t, tt.version, "", "", "")
			if s.constraint != nil || s.tag != tt.tag {
				t.Errorf("expected the tag %q alone to be asked for, found %q (range: %t)", tt.tag, s.tag, s.constraint != nil)
			}
		})
	}
}

func TestSelectorPin(t *testing.T) {
	digest := "sha256:" + strings.Repeat("ab", 32)
	alone := selector(t, "", "", digest, "")
	if pinned, ok := alone.Pinned(); !ok || pinned != (Revision{Digest: digest}) || !alone.ByDigest() || alone.Pin() != digest {
		t.Errorf("expected a pin alone, found %+v, %t", pinned, ok)
	}
	for name, s := range map[string]Selector{
		"with a tag":     selector(t, "", "latest", digest, ""),
		"with a version": selector(t, "1.0.0", "", digest, ""),
		"with a range":   selector(t, "1.x", "", digest, ""),
	} {
		if _, ok := s.Pinned(); ok || s.Pin() != digest {
			t.Errorf("%s: expected the digest %s to be compared with, found %q (known without asking: %t)", name, digest, s.Pin(), ok)
		}
	}
}

func TestSelectorRefuses(t *testing.T) {
	digest := "sha256:" + strings.Repeat("ab", 32)
	tests := map[string]struct{ version, tag, digest, filter, field string }{
		"version and tag":              {version: "1.0.0", tag: "latest", field: "tag"},
		"a name as a version":          {version: "latest", field: "version"},
		"another range":                {version: ">=a", field: "version"},
		"digest of another algorithm":  {digest: "sha512:" + strings.Repeat("ab", 64), field: "digest"},
		"digest in upper case":         {digest: strings.ToUpper(digest), field: "digest"},
		"digest with more":             {digest: digest + "0", field: "digest"},
		"digest with a newline":        {digest: digest + "\n", field: "digest"},
		"filter of a tag":              {tag: "latest", filter: ".*", field: "versionFilter"},
		"filter of a digest":           {digest: digest, filter: ".*", field: "versionFilter"},
		"filter that does not compile": {version: "1.x", filter: "(", field: "versionFilter"},
		// Wrapped before it is compiled, it would match everything.
		"filter that breaks out": {version: "1.x", filter: "a)|(?:.*", field: "versionFilter"},
		"backreference":          {version: "1.x", filter: `(a)\1`, field: "versionFilter"},
		"tag that is a path":     {tag: "a/../../other/manifests/x", field: "tag"},
		"tag with a query":       {tag: "latest?n=1", field: "tag"},
		"tag that is too long":   {tag: strings.Repeat("a", 129), field: "tag"},
		// The library would take it for >=1 || (3, <=4), which 99.0.0 matches.
		"range read as something else": {version: "1||3 - 4", field: "version"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := NewSelector(tt.version, tt.tag, tt.digest, tt.filter)
			var bad *SelectorError
			if !errors.As(err, &bad) || bad.Field != tt.field {
				t.Errorf("expected a SelectorError about %s, found %v", tt.field, err)
			}
			if err != nil && len(err.Error()) > 500 {
				t.Errorf("expected a bounded message, found %d bytes", len(err.Error()))
			}
		})
	}
}

// The zero Selector selects nothing, even where a registry would answer.
func TestZeroSelector(t *testing.T) {
	server := start(t, "referrers", testregistry.Options{})
	server.Intercept(testregistry.Respond(http.StatusOK, http.Header{digestHeader: {"sha256:" + strings.Repeat("ab", 32)}}, nil))
	found, err := client(t, newPool(t), server, "app").Resolve(t.Context(), Selector{})
	if err == nil || found != (Revision{}) {
		t.Errorf("expected an error and no revision, found %+v, %v", found, err)
	}
}
