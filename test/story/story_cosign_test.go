package story

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/assay-dev/assay/api/v1alpha1"
	"github.com/assay-dev/assay/test/sigstored"
)

// startedStack is a Sigstore on loopback, started once, by the first test that
// wants it. closeStack ends it.
var (
	startedStack = sync.OnceValues(func() (*sigstored.Stack, error) { return sigstored.Start(background, os.Stderr) })
	stackInUse   atomic.Bool
)

func closeStack() {
	if !stackInUse.Load() {
		return
	}
	if stack, err := startedStack(); err == nil {
		if err := stack.Close(); err != nil {
			fmt.Fprintln(os.Stderr, "stopping the Sigstore:", err)
		}
	}
}

// realSigstore is the Sigstore on loopback; without one, the test is skipped.
func realSigstore(t *testing.T) *sigstored.Stack {
	t.Helper()
	stackInUse.Store(true)
	stack, err := startedStack()
	if sigstored.MaySkip(err) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return stack
}

// cosignWay is how people sign with a release of Cosign, and the format of it.
type cosignWay struct {
	release sigstored.Cosign
	flags   []string
	format  string
}

func cosignWays(t *testing.T, stack *sigstored.Stack) map[string]cosignWay {
	t.Helper()
	content, err := stack.SigningConfig(sigstored.Services{Rekor2: true, TSA: true})
	if err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(t.TempDir(), "signing_config.json")
	if err := os.WriteFile(config, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return map[string]cosignWay{
		"cosign2": {sigstored.Cosign2, []string{"--fulcio-url", stack.Fulcio, "--rekor-url", stack.Rekor1}, "cosign"},
		"cosign3": {sigstored.Cosign3, []string{"--signing-config", config, "--trusted-root", stack.TrustedRoot}, "bundle"},
	}
}

// What either release of Cosign signs in a workflow, the controller publishes,
// from that workflow and from no other, and says who it was.
func TestStoryCosign(t *testing.T) {
	t.Parallel()
	stack := realSigstore(t)
	workflow := stack.GitHub("example-org/app", "release.yml", "refs/tags/v1.0.0")
	fork := workflow.Identity
	fork.Subject = stack.GitHub("example-fork/app", "release.yml", "refs/tags/v1.0.0").Identity.Subject
	for name, way := range cosignWays(t, stack) {
		for kind := range kinds {
			t.Run(name+"/"+kind, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, settings{kind: kind, options: rootFile(t, stack.Sigstore.TrustedRoot())})
				digest := w.push("app", "1.0.0", nil)
				w.signWith(stack, way, workflow, w.repo("app")+"@"+digest)
				w.apply("app", w.spec("app", trusting(by("ci", workflow.Identity))))
				w.apply("fork", w.spec("app", trusting(by("ci", fork))))

				obj := w.settled("app")
				wantConditions(t, obj, isVerified)
				signer := obj.Status.Verification.Signatures[0]
				found := map[string]string{}
				for _, e := range signer.Extensions {
					found[e.Name] = e.Value
				}
				if diff := cmp.Diff(workflow.Identity.Extensions, found); diff != "" {
					t.Errorf("extensions (-expected +found):\n%s", diff)
				}
				if signer.Format != way.format || signer.Issuer != workflow.Identity.Issuer || signer.Subject != workflow.Identity.Subject {
					t.Errorf("unlikely evidence %+v", signer)
				}
				wantConditions(t, w.settled("fork"), map[string]string{
					"Verified": "False/IdentityMismatch", "Stalled": "True/IdentityMismatch", "ArtifactInStorage": "False/" + v1alpha1.ReasonNoArtifact,
				})
			})
		}
	}
}

// signWith signs with Cosign as somebody.
func (w *world) signWith(stack *sigstored.Stack, way cosignWay, who sigstored.Person, reference string) {
	w.t.Helper()
	token, err := stack.Token(who)
	if err != nil {
		w.t.Fatal(err)
	}
	args := slices.Concat([]string{"--allow-http-registry", "--identity-token", token}, way.flags, []string{reference})
	if _, err := stack.Cosign(background, way.release, "sign", args...); err != nil {
		w.t.Fatal(err)
	}
}
