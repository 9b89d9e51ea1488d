package deploy

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/assay-dev/assay/api/v1alpha1"
	"github.com/assay-dev/assay/test/fixtures"
	"github.com/assay-dev/assay/test/registry"
)

var verified = map[string]string{
	"Verified": "True/SignatureVerified", "Ready": "True/SignatureVerified", "ArtifactInStorage": "True/ArtifactPublished",
}

// TestDeployment is the life of a Deployment, from a new cluster to one whose
// Pod was replaced. Its steps are in order; the last compares what the
// ServiceAccount may do with what the controller did in all of them.
func TestDeployment(t *testing.T) {
	w := newTenant(t)
	pod := start(t)
	reportMemory(t, pod, "idle")

	publishesWhatIsSigned(t, pod, w)
	refusesWhatIsNot(t, w)
	understandsTheSamples(t, w)
	writesThroughAConflict(t, w)
	servesMetrics(t, pod, w)
	changesItsLogLevel(t, pod)
	reportMemory(t, pod, "after work")
	if holder := leaseHolder(t); holder == "" {
		t.Error("expected the Lease to be held, found no holder")
	}
	pod.stop(t)
	if holder := leaseHolder(t); holder != "" {
		t.Errorf("expected the Lease to be given up, found the holder %q", holder)
	}

	pod = replacedPodRebuilds(t, w)
	endsInTheMiddleOfAPoll(t, pod, w)
	wantGrantedIsUsed(t)
}

func publishesWhatIsSigned(t *testing.T, pod *controller, w *tenant) {
	t.Helper()
	key := newKey(t)
	digest := w.signed(t, "app", "1.0.0", key)
	create(t, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "keys"}, Data: map[string][]byte{"cosign.pub": key.PublicPEM()},
	})
	create(t, &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "keys"}, Data: map[string]string{"cosign.pub": string(key.PublicPEM())},
	})
	ref := &v1alpha1.LocalObjectReference{Name: "keys"}
	create(t, w.source("secret", "app", v1alpha1.KeyAuthority{SecretRef: ref}))
	create(t, w.source("configmap", "app", v1alpha1.KeyAuthority{ConfigMapRef: ref}))
	for _, name := range []string{"secret", "configmap"} {
		obj := w.await(t, name, verified)
		if want := "1.0.0@" + digest; obj.Status.Artifact.Revision != want {
			t.Errorf("%s: expected the artifact %s, found %s", name, want, obj.Status.Artifact.Revision)
		}
		wantServed(t, pod, obj)
		w.wantEvent(t, name, corev1.EventTypeNormal, v1alpha1.ReasonSignatureVerified)
	}
}

// wantServed downloads an artifact as others in the cluster do.
func wantServed(t *testing.T, pod *controller, obj *v1alpha1.ModuleSource) {
	t.Helper()
	published := obj.Status.Artifact
	code, body, err := get(pod.cluster(), published.URL)
	if err != nil || code != http.StatusOK {
		t.Errorf("%s: expected 200, found %d, %v", published.URL, code, err)
	}
	if found := fmt.Sprintf("sha256:%x", sha256.Sum256(body)); found != published.Digest {
		t.Errorf("%s: expected %s, found %s", published.URL, published.Digest, found)
	}
}

func (w *tenant) wantEvent(t *testing.T, name, kind, reason string) {
	t.Helper()
	await(t, fmt.Sprintf("%s has an event %s %s", name, kind, reason), func() error {
		var list eventsv1.EventList
		if err := kube.List(background, &list, client.InNamespace(w.namespace)); err != nil {
			return err
		}
		if !slices.ContainsFunc(list.Items, func(e eventsv1.Event) bool {
			return e.Regarding.Name == name && e.Type == kind && e.Reason == reason && e.ReportingController == "assay-controller"
		}) {
			return fmt.Errorf("the events are %+v", list.Items)
		}
		return nil
	})
}

func refusesWhatIsNot(t *testing.T, w *tenant) {
	t.Helper()
	w.push(t, "unsigned", "1.0.0")
	source := w.source("unsigned", "unsigned", v1alpha1.KeyAuthority{Data: string(newKey(t).PublicPEM())})
	source.Spec.Verify.SignatureGracePeriod = &metav1.Duration{}
	create(t, source)
	obj := w.await(t, "unsigned", map[string]string{"Verified": "False/NoSignature", "Ready": "False/NoSignature"})
	if obj.Status.Artifact != nil {
		t.Errorf("expected no artifact, found %+v", obj.Status.Artifact)
	}
	w.wantEvent(t, "unsigned", corev1.EventTypeWarning, v1alpha1.ReasonNoSignature)
}

// nameTrustedRoot has keyless authorities use a trusted root of the test's in
// place of Sigstore's public one, which is not to be had here.
func nameTrustedRoot(spec map[string]any, configMap string) {
	for _, a := range spec["verify"].(map[string]any)["authorities"].([]any) {
		if authority := a.(map[string]any); authority["keyless"] != nil {
			authority["trustedRootRef"] = map[string]any{"kind": "ConfigMap", "name": configMap}
		}
	}
}

// understandsTheSamples applies config/samples, with this registry in the
// place of theirs. What they name is there and not signed by anybody, which
// the controller finds out only once it has read everything in a spec, the
// keys as well.
func understandsTheSamples(t *testing.T, w *tenant) {
	t.Helper()
	w.push(t, "modules/podinfo", "6.5.4", "nightly")
	w.push(t, "modules/podinfo", "6.5.4-arm")
	root, err := fixtures.File("trust/trusted_root.json")
	if err != nil {
		t.Fatal(err)
	}
	create(t, &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "trusted-root"}, Data: map[string]string{v1alpha1.DefaultTrustedRootKey: string(root)},
	})
	for _, obj := range samples(t) {
		obj.SetNamespace(w.namespace)
		if obj.GetKind() == v1alpha1.ModuleSourceKind {
			spec := obj.Object["spec"].(map[string]any)
			spec["url"], spec["insecure"] = "oci://"+w.registry.Host()+"/modules/podinfo", true
			nameTrustedRoot(spec, "trusted-root")
			spec["verify"].(map[string]any)["signatureGracePeriod"] = "0s" // Nobody will sign it.
		}
		create(t, obj)
	}
	for _, obj := range samples(t) {
		if obj.GetKind() == v1alpha1.ModuleSourceKind {
			w.await(t, obj.GetName(), map[string]string{"Verified": "False/NoSignature"})
			w.wantEvent(t, obj.GetName(), corev1.EventTypeWarning, v1alpha1.ReasonNoSignature)
		}
	}
}

// writesThroughAConflict changes an object while the controller is at work on
// it, so that it must read it again to report.
func writesThroughAConflict(t *testing.T, w *tenant) {
	t.Helper()
	const token = "now"
	reached, goOn := make(chan struct{}), make(chan struct{})
	reach := sync.OnceFunc(func() { close(reached) })
	w.registry.Intercept(func(rw http.ResponseWriter, r *http.Request, next http.Handler) {
		reach()
		<-goOn
		next.ServeHTTP(rw, r)
	})
	w.poll(t, "secret", token)
	<-reached
	w.patch(t, "secret", func(obj *v1alpha1.ModuleSource) { metav1.SetMetaDataAnnotation(&obj.ObjectMeta, "edited", "meanwhile") })
	w.registry.Intercept(nil)
	close(goOn)
	await(t, "the poll is reported", func() error {
		obj, err := w.get("secret")
		if err == nil && obj.Status.LastHandledReconcileAt != token {
			err = fmt.Errorf("lastHandledReconcileAt is %q", obj.Status.LastHandledReconcileAt)
		}
		return err
	})
}

// changesItsLogLevel has a key of the ConfigMap come and go.
func changesItsLogLevel(t *testing.T, pod *controller) {
	t.Helper()
	if err := os.WriteFile(pod.logLevel, []byte("debug"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"DEBUG", "INFO"} {
		await(t, "the level is "+want, func() error {
			if !strings.Contains(pod.log.String(), `"msg":"the log's level is changed","to":"`+want+`"`) {
				return errors.New("its log does not say so")
			}
			return nil
		})
		_ = os.Remove(pod.logLevel) // Which it is already, the second time.
	}
}

func servesMetrics(t *testing.T, pod *controller, w *tenant) {
	t.Helper()
	body, err := pod.metrics()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`assay_modulesource_condition\{name="secret",namespace="` + w.namespace + `",reason="SignatureVerified",status="True",type="Verified"\} 1`,
		`assay_modulesource_condition\{name="unsigned",namespace="` + w.namespace + `",reason="NoSignature",status="False",type="Verified"\} 1`,
		`assay_verifications_total\{reason="SignatureVerified",result="verified"\} [1-9]`,
		`assay_verifications_total\{reason="NoSignature",result="refused"\} [1-9]`,
	} {
		if !regexp.MustCompile(`(?m)^` + want).Match(body) {
			t.Errorf("expected the metric %s, found\n%s", want, body)
		}
	}
}

func leaseHolder(t *testing.T) string {
	t.Helper()
	lease := &coordinationv1.Lease{}
	if err := kube.Get(background, client.ObjectKey{Namespace: namespace, Name: name}, lease); err != nil {
		t.Fatal(err)
	}
	return ptr.Deref(lease.Spec.HolderIdentity, "")
}

// replacedPodRebuilds starts a controller with an empty volume. It gets its
// objects with a list and a watch, as from an API server that has no streaming
// lists; the one before got them with a watch alone.
func replacedPodRebuilds(t *testing.T, w *tenant) *controller {
	t.Helper()
	before, err := w.get("secret")
	if err != nil {
		t.Fatal(err)
	}
	pod := start(t, "KUBE_FEATURE_WatchListClient=false")
	await(t, "what was published is there again", func() error {
		code, _, err := get(pod.cluster(), before.Status.Artifact.URL)
		if err == nil && code != http.StatusOK {
			err = errors.New(http.StatusText(code))
		}
		return err
	})
	wantServed(t, pod, before)
	return pod
}

// endsInTheMiddleOfAPoll ends the controller while a registry does not answer
// it, which is no failure of the registry's: a rollout changes nobody's status.
func endsInTheMiddleOfAPoll(t *testing.T, pod *controller, w *tenant) {
	t.Helper()
	pod.awaitIdle(t)
	reached := make(chan struct{})
	reach := sync.OnceFunc(func() { close(reached) })
	w.registry.Intercept(func(rw http.ResponseWriter, r *http.Request, next http.Handler) {
		reach()
		registry.Hang(rw, r, next)
	})
	w.poll(t, "secret", "then")
	<-reached
	pod.terminate(t)
	obj := w.await(t, "secret", verified)
	if apimeta.FindStatusCondition(obj.Status.Conditions, v1alpha1.ConditionFetchFailed) != nil {
		t.Errorf("expected nothing to have failed, found %+v", obj.Status.Conditions)
	}
}

// reportMemory shows what the controller takes, which is where the
// Deployment's numbers come from, and holds it to them.
func reportMemory(t *testing.T, pod *controller, when string) {
	t.Helper()
	now, most, found := pod.memory(t)
	if !found {
		return
	}
	var sources v1alpha1.ModuleSourceList
	if err := kube.List(background, &sources); err != nil {
		t.Fatal(err)
	}
	t.Logf("memory, %s, with %d ModuleSources: %d MiB, at most %d MiB", when, len(sources.Items), now.Value()>>20, most.Value()>>20)
	resources := pod.container.Resources
	if request := resources.Requests.Memory(); most.Cmp(*request) > 0 {
		t.Errorf("the controller took %s of memory %s, more than the %s that the Deployment requests", most.String(), when, request)
	}
	if limit, request := resources.Limits.Memory(), resources.Requests.Memory(); limit.Value() < 2*request.Value() {
		t.Errorf("expected the limit to leave as much again for hostile input, found %s of %s", request, limit)
	}
}
