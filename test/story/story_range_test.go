package story

import (
	"fmt"
	"strings"
	"testing"

	"github.com/assay-dev/assay/api/v1alpha1"
	"github.com/assay-dev/assay/test/module"
	"github.com/assay-dev/assay/test/registry"
	"github.com/assay-dev/assay/test/signing"
)

// offered are the tags of a repository, and the version that the signed
// manifest under each of them is of.
var offered = map[string]string{
	"1.0.0": "1.0.0", "1.2.0": "1.2.0", "1.9.9": "1.9.9", "1.10.0": "1.10.0",
	"v1.11.0": "1.11.0", "1.12.0_build.7": "1.12.0+build.7",
	"2.0.0-rc.1": "2.0.0-rc.1", "2.0.0-rc.2": "2.0.0-rc.2",
	"1.10.0-arm": "1.10.0-arm", "1.2.0-arm": "1.2.0-arm",
	// No versions: of two parts, with a leading zero, a name, and what would be
	// the highest of all if it were read loosely.
	"1.99": "1.99.0", "01.99.0": "1.99.0", "latest": "1.0.0", "main-9.9.9": "9.9.9", "V9.9.9": "9.9.9",
}

var selections = map[string]struct {
	edit func(*v1alpha1.ModuleSourceSpec)
	// tag is the one that is taken; "" for none.
	tag string
	// says is what is said where there is none.
	says string
}{
	"nothing is the highest stable": {edit: versioned(""), tag: "1.12.0_build.7"},
	"any is the highest stable":     {edit: versioned("*"), tag: "1.12.0_build.7"},
	"range of a major":              {edit: versioned("1.x"), tag: "1.12.0_build.7"},
	"by number and not by text":     {edit: versioned(">=1.0.0 <1.11.0"), tag: "1.10.0"},
	"tag with v":                    {edit: versioned("~1.11"), tag: "v1.11.0"},
	"range written with v":          {edit: versioned("~v1.2"), tag: "1.2.0"},
	"either of two":                 {edit: versioned("1.0.x || 1.2.x"), tag: "1.2.0"},
	"prereleases are left out":      {edit: versioned(">=2.0.0"), says: "expected a tag that matches version >=2.0.0, found none among 30 tags"},
	"prereleases when asked for":    {edit: versioned(">=2.0.0-0"), tag: "2.0.0-rc.2"},
	"exact":                         {edit: versioned("1.2.0"), tag: "1.2.0"},
	"exact prerelease":              {edit: versioned("2.0.0-rc.1"), tag: "2.0.0-rc.1"},
	"exact with v":                  {edit: versioned("v1.11.0"), tag: "v1.11.0"},
	"exact with build":              {edit: versioned("1.12.0+build.7"), tag: "1.12.0_build.7"},
	"exact and not there":           {edit: versioned("1.2.9"), says: "the repository has no version 1.2.9"},
	"no version of three parts":     {edit: versioned("~1.99"), says: "expected a tag that matches version ~1.99, found none among 30 tags"},
	"filter": {
		edit: func(s *v1alpha1.ModuleSourceSpec) { s.Version, s.VersionFilter = ">=1.0.0-0", ".*-arm" },
		tag:  "1.10.0-arm",
	},
	"filter of whole tags": {
		edit: func(s *v1alpha1.ModuleSourceSpec) { s.VersionFilter = `1\.2\.0|1\.9` },
		tag:  "1.2.0",
	},
	"filter that nothing passes": {
		edit: func(s *v1alpha1.ModuleSourceSpec) { s.Version, s.VersionFilter = "1.x", "release-.*" },
		says: "expected a tag that matches version 1.x and versionFilter, found none among 30 tags",
	},
	"tag": {
		edit: func(s *v1alpha1.ModuleSourceSpec) { s.Tag = "latest" },
		tag:  "latest",
	},
	"tag that is not there": {
		edit: func(s *v1alpha1.ModuleSourceSpec) { s.Tag = "stable" },
		says: "the repository has no tag stable",
	},
}

// Of everything under the tags, a selection takes one; pages of the list of
// tags, full ones too, change nothing about that.
func TestStorySelection(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 5, 15, 30} {
		for kind := range kinds {
			t.Run(fmt.Sprintf("%s in pages of %d", kind, size), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, settings{kind: kind, registry: registry.Options{PageSize: size}})
				digests := w.offer("app")
				for name, row := range selections {
					name = strings.ReplaceAll(name, " ", "-")
					w.apply(name, w.spec("app", row.edit))
				}
				for name, row := range selections {
					obj := w.settled(strings.ReplaceAll(name, " ", "-"))
					if row.tag == "" {
						w.expect(obj, expectation{conditions: unreachable("VersionNotFound"), says: map[string][]string{
							"Verified": {w.repo("app"), row.says}, "FetchFailed": {row.says}, "Reconciling": {"retrying: ", row.says},
						}})
						w.told(w.tells(obj.Name, "Warning VersionNotFound"), row.says)
						continue
					}
					revision := at(row.tag, digests[row.tag])
					w.expect(obj, expectation{conditions: published(), observed: revision, artifact: revision, files: versionFile(row.tag)})
					w.told(w.tells(obj.Name, "Normal SignatureVerified"), revision)
				}
			})
		}
	}
}

// offer pushes and signs a module under every tag of offered.
func (w *world) offer(repo string) map[string]string {
	w.t.Helper()
	digests := map[string]string{}
	for tag, version := range offered {
		digests[tag] = w.pushAs(repo, tag, module.Options{Version: version, Files: versionFile(tag), Vendor: map[string]string{}})
		w.sign(repo, digests[tag], "cosign", w.key)
	}
	return digests
}

func versionFile(tag string) map[string]string { return map[string]string{"tag": tag} }

// A range moves on to a version that is pushed later, and back to none that is
// lower.
func TestStoryRangeMovesOn(t *testing.T) {
	inEachFormat(t, func(t *testing.T, w *world, format string) {
		release := func(version string) string {
			t.Helper()
			digest := w.pushAs("app", version, module.Options{Version: version, Files: versionFile(version)})
			w.sign("app", digest, format, w.key)
			return digest
		}
		first := release("1.0.0")
		w.apply("app", w.spec("app", versioned("1.x")))
		w.expect(w.ready("app"), expectation{conditions: published(), observed: at("1.0.0", first), artifact: at("1.0.0", first), files: withVendor(versionFile("1.0.0"))})

		second := release("1.1.0")
		for _, passedOver := range []string{"0.9.0", "1.0.9", "2.0.0", "1.2.0-rc.1"} {
			release(passedOver)
		}
		want := expectation{conditions: published(), observed: at("1.1.0", second), artifact: at("1.1.0", second), files: withVendor(versionFile("1.1.0"))}
		w.expect(w.poll("app"), want)
		w.expect(w.again("app"), want)

		if h := w.get("app").Status.History; len(h) != 2 || h[1].Revision != at("1.0.0", first) {
			t.Errorf("expected both revisions in history, found %+v", h)
		}
		w.told(w.tells("app", "Normal SignatureVerified", "Normal SignatureVerified"), at("1.1.0", second))
	})
}

// The newest is not signed: the range does not fall back to one that is.
func TestStoryRangeDoesNotFallBack(t *testing.T) {
	inEachFormat(t, func(t *testing.T, w *world, format string) {
		signed := w.push("app", "1.0.0", nil)
		w.sign("app", signed, format, w.key)
		byOther := w.push("app", "1.1.0", versionFile("1.1.0"))
		w.sign("app", byOther, format, newKey(t, signing.ECDSAP256))
		w.apply("app", w.spec("app", versioned("1.x")))
		want := expectation{conditions: refused("KeyMismatch"), observed: at("1.1.0", byOther), says: map[string][]string{"Ready": {byOther}}}
		w.expect(w.settled("app"), want)
		w.expect(w.again("app"), want)
		w.tells("app", "Warning KeyMismatch")
	})
}

// History keeps the last five.
func TestStoryHistory(t *testing.T) {
	t.Parallel()
	w := newWorld(t, settings{})
	w.apply("app", w.spec("app", nil))
	w.settled("app")
	var revisions []string
	for i := range 7 {
		version := fmt.Sprintf("1.%d.0", i)
		digest := w.push("app", version, versionFile(version))
		w.sign("app", digest, "bundle", w.key)
		revisions = append([]string{at(version, digest)}, revisions...)
		w.expect(w.poll("app"), expectation{conditions: published(), observed: revisions[0], artifact: revisions[0], files: withVendor(versionFile(version))})
	}
	history := w.get("app").Status.History
	if len(history) != v1alpha1.HistoryLimit {
		t.Fatalf("expected the last %d revisions, found %+v", v1alpha1.HistoryLimit, history)
	}
	for i, h := range history {
		if h.Revision != revisions[i] || h.VerifiedAt.IsZero() || !strings.HasPrefix(h.ArtifactDigest, "sha256:") {
			t.Errorf("history %d: expected %s, found %+v", i, revisions[i], h)
		}
	}
}
