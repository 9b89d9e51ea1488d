package story

import (
	"fmt"
	"testing"

	"github.com/assay-dev/assay/api/v1alpha1"
	"github.com/assay-dev/assay/test/module"
	"github.com/assay-dev/assay/test/registry"
	"github.com/assay-dev/assay/test/sigstore"
)

// Certificates, logs and timestamps cost no request more than keys do: what
// they are judged by is there already.
func TestBudgetOfKeyless(t *testing.T) {
	public, private := sigstores(t)
	both, err := sigstore.TrustedRoot(public.Roots(), private.Roots())
	if err != nil {
		t.Fatal(err)
	}
	for kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			l := newLedger(t, kind, registry.Options{})
			l.create(l.holding("ConfigMap", "root", map[string]string{"trusted_root.json": string(public.TrustedRoot())}))
			ci := by("ci", ciRelease)
			ci.TrustedRootRef = &v1alpha1.TrustedRootReference{Kind: "ConfigMap", Name: "root"}
			l.apply("app", l.spec("app", func(s *v1alpha1.ModuleSourceSpec) {
				trusting(ci)(s)
				s.Version, s.Tag = "", "latest"
			}))
			l.settled("app") // First contact, with a repository that is not there.
			release := func(format string) {
				digest := l.pushAs("app", "latest", module.Options{Version: "1.0.0", Files: map[string]string{"n": format}})
				l.signAs(public, ciRelease, "app", digest, format)
			}
			release("cosign")
			l.poll("app") // The first look-up learns whether there is the referrers API.
			l.takeConnections()
			const layers = 2
			budget := map[string]int{"referrers": 5 + layers, "distribution": 6 + layers}[kind]
			writes := []string{statusPatch, eventCreate}
			release("bundle")
			l.spend("new digest, keyless, bundle with log and timestamp, L=2",
				cost{requests: l.requests(1, 3, 1+layers), writes: writes, budget: budget + 1}, func() { l.poll("app") })
			wantConditions(t, l.get("app"), isVerified)

			l.spend("judged again under 31 more identities", cost{requests: map[string]int{}, writes: writes}, func() {
				l.edit("app", func(s *v1alpha1.ModuleSourceSpec) {
					identities := &s.Verify.Authorities[0].Keyless.Identities
					for i := range 31 {
						*identities = append(*identities, v1alpha1.Identity{Issuer: "https://issuer.example", Subject: fmt.Sprintf("%d@example.com", i)})
					}
				})
				l.settled("app")
			})
			before := l.get("app").Status.Verification.PolicyHash
			l.spend("judged again under a new root", cost{requests: map[string]int{}, writes: writes}, func() {
				l.change(l.holding("ConfigMap", "root", map[string]string{"trusted_root.json": string(both)}))
				l.await("app", "it is judged again", func(s *v1alpha1.ModuleSource) bool { return s.Status.Verification.PolicyHash != before })
			})
			wantConditions(t, l.get("app"), isVerified)
			l.close()
		})
	}
}
