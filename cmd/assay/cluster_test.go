package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/assay-dev/assay/api/v1alpha1"
	"github.com/assay-dev/assay/controllers"
	"github.com/assay-dev/assay/test/controlplane"
)

// theCluster is started by the first test that needs it; TestMain stops it.
var theCluster struct {
	once       sync.Once
	env        *envtest.Environment
	kube       client.Client
	kubeconfig string
	kubectl    string
	err        error
}

// startCluster returns an API server with a ModuleSource of each kind, and a
// kubeconfig for it.
func startCluster(t *testing.T) (client.Client, string) {
	t.Helper()
	c := &theCluster
	c.once.Do(func() {
		if c.env, c.err = controlplane.Start(os.Stderr); c.err != nil {
			return
		}
		var folder string
		if folder, c.err = os.MkdirTemp("", "assay-cluster"); c.err != nil {
			return
		}
		c.kubeconfig = filepath.Join(folder, "kubeconfig")
		if c.err = os.WriteFile(c.kubeconfig, c.env.KubeConfig, 0o600); c.err != nil {
			return
		}
		c.kubectl = filepath.Join(c.env.BinaryAssetsDirectory, "kubectl")
		if c.kube, c.err = client.New(c.env.Config, client.Options{Scheme: controllers.NewScheme()}); c.err == nil {
			c.err = fillCluster(context.Background(), c.kube)
		}
	})
	if c.err != nil {
		t.Fatal(c.err)
	}
	return c.kube, c.kubeconfig
}

func stopCluster() {
	if theCluster.env != nil {
		_ = theCluster.env.Stop()
		_ = os.RemoveAll(filepath.Dir(theCluster.kubeconfig))
	}
}

const (
	oldDigest = "sha256:1111111111111111111111111111111111111111111111111111111111111111"
	newDigest = "sha256:2222222222222222222222222222222222222222222222222222222222222222"
)

func condition(kind string, status metav1.ConditionStatus, reason, message string) metav1.Condition {
	return metav1.Condition{Type: kind, Status: status, Reason: reason, Message: message, ObservedGeneration: 1, LastTransitionTime: metav1.Now()}
}

// published is the status of a ModuleSource whose observed revision is verified
// and served.
func published(signature v1alpha1.AcceptedSignature) v1alpha1.ModuleSourceStatus {
	return v1alpha1.ModuleSourceStatus{
		ObservedGeneration: 1,
		Observed:           &v1alpha1.ObservedRevision{Version: "1.0.0", Digest: oldDigest, FirstSeenAt: metav1.Now()},
		Artifact:           &meta.Artifact{Path: "a", URL: "http://a/a", Revision: "1.0.0@" + oldDigest, Digest: oldDigest, LastUpdateTime: metav1.Now()},
		Verification:       &v1alpha1.Verification{Digest: oldDigest, PolicyHash: oldDigest, VerifiedAt: metav1.Now(), Signatures: []v1alpha1.AcceptedSignature{signature}},
		Conditions: []metav1.Condition{
			condition(v1alpha1.ConditionVerified, metav1.ConditionTrue, v1alpha1.ReasonSignatureVerified, "signed"),
			condition(v1alpha1.ConditionArtifactInStorage, metav1.ConditionTrue, "Succeeded", "stored"),
			condition(v1alpha1.ConditionReady, metav1.ConditionTrue, "Succeeded", "stored"),
		},
	}
}

func fillCluster(ctx context.Context, kube client.Client) error {
	byKey := v1alpha1.AcceptedSignature{Authority: "release-key", Format: "cosign", KeyFingerprint: oldDigest}
	byGitHub := v1alpha1.AcceptedSignature{Authority: "release", Format: "bundle", Issuer: "https://token.actions.githubusercontent.com", Subject: "https://github.com/example-org/app/.github/workflows/release.yml@refs/tags/v1.0.0"}
	refused := published(byKey)
	refused.Observed = &v1alpha1.ObservedRevision{Version: "1.1.0", Digest: newDigest, FirstSeenAt: metav1.Now()}
	refused.Conditions = []metav1.Condition{
		condition(v1alpha1.ConditionVerified, metav1.ConditionFalse, v1alpha1.ReasonKeyMismatch, newDigest+": expected a signature by release-key, found 1 signature by another key"),
		condition(v1alpha1.ConditionArtifactInStorage, metav1.ConditionTrue, "Succeeded", "stored"),
		condition(v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonKeyMismatch, newDigest+": expected a signature by release-key, found 1 signature by another key"),
	}
	unreachable := published(byKey)
	unreachable.Conditions = append(unreachable.Conditions[:2:2],
		condition(v1alpha1.ConditionFetchFailed, metav1.ConditionTrue, v1alpha1.ReasonRateLimited, "registry.example.com/app: too many requests"),
		condition(v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonRateLimited, "registry.example.com/app: too many requests"))
	for name, status := range map[string]v1alpha1.ModuleSourceStatus{
		"by-key": published(byKey), "by-github": published(byGitHub), "refused": refused, "unreachable": unreachable, "untouched": {},
	} {
		for _, namespace := range []string{"apps", "infra"} {
			if namespace == "infra" && name != "by-key" {
				continue
			}
			if err := createSource(ctx, kube, namespace, name, status); err != nil {
				return err
			}
		}
	}
	return nil
}

func createSource(ctx context.Context, kube client.Client, namespace, name string, status v1alpha1.ModuleSourceStatus) error {
	_ = kube.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}})
	m := &v1alpha1.ModuleSource{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{"app": name}},
		Spec: v1alpha1.ModuleSourceSpec{
			URL: "oci://registry.example.com/app",
			Verify: v1alpha1.Verify{Authorities: []v1alpha1.Authority{{
				Name: "release-key", Key: &v1alpha1.KeyAuthority{ConfigMapRef: &v1alpha1.LocalObjectReference{Name: "release-keys"}},
			}}},
		},
	}
	if err := kube.Create(ctx, m); err != nil {
		return err
	}
	if len(status.Conditions) > 0 {
		m.Status = status
		if err := kube.Status().Update(ctx, m); err != nil {
			return err
		}
	}
	event := &eventsv1.Event{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name + ".1"},
		EventTime:  metav1.NowMicro(), ReportingController: "assay-controller", ReportingInstance: "a", Action: "Verify",
		Type: corev1.EventTypeNormal, Reason: "Succeeded", Note: "published 1.0.0@" + oldDigest,
		Regarding: corev1.ObjectReference{APIVersion: v1alpha1.GroupVersion.String(), Kind: "ModuleSource", Namespace: namespace, Name: name},
	}
	if name == "refused" {
		event.Type, event.Reason, event.Note = corev1.EventTypeWarning, v1alpha1.ReasonKeyMismatch, newDigest+": expected a signature by release-key"
	}
	return kube.Create(ctx, event)
}

var ages = regexp.MustCompile(`\b\d+(ms|s|m|m\d+s)\b`)

// inCluster runs a command line against the cluster, now.
func inCluster(t *testing.T, args ...string) ran {
	t.Helper()
	_, kubeconfig := startCluster(t)
	term, out, err := fakeTerminal()
	term.now = time.Now
	code := run(t.Context(), term, append(args, "--kubeconfig", kubeconfig))
	return ran{code, ages.ReplaceAllString(out.String(), "AGE"), err.String()}
}

func TestGet(t *testing.T) {
	for name, args := range map[string][]string{
		"all":       {"--all-namespaces"},
		"namespace": {"--namespace", "apps"},
		"one":       {"refused", "--namespace", "apps"},
		"selector":  {"--all-namespaces", "--selector", "app in (by-key, by-github)"},
		"none":      {"--namespace", "default"},
	} {
		got := inCluster(t, append([]string{"get"}, args...)...)
		if got.code != exitOK {
			t.Errorf("%s: expected exit 0, found %d: %s", name, got.code, got.err)
		}
		golden(t, "get/"+name+".txt", got.out+got.err)
	}
	for _, format := range []string{"json", "yaml"} {
		for name, args := range map[string][]string{"list": {"--namespace", "infra"}, "single": {"by-github", "--namespace", "apps"}} {
			got := inCluster(t, append([]string{"get", "--output", format}, args...)...)
			golden(t, "get/"+name+"."+format, stable(got.out+got.err))
		}
	}
}

// changing is what differs from one run to the next in an object.
var changing = regexp.MustCompile(`(?m)("?(?:uid|resourceVersion|\w*Timestamp|\w*Time|\w*At)"?: )"?[0-9a-f][0-9a-fTZ:.-]*"?`)

func stable(text string) string { return changing.ReplaceAllString(text, "$1…") }

func TestEvents(t *testing.T) {
	got := inCluster(t, "events", "refused", "--namespace", "apps")
	golden(t, "events/one.txt", got.out+got.err)
	got = inCluster(t, "events", "--all-namespaces")
	if n := strings.Count(got.out, "\n"); n != 7 {
		t.Errorf("expected a header and 6 events, found %d lines: %s", n, got.out)
	}
	for _, format := range []string{"json", "yaml"} {
		got := inCluster(t, "events", "by-key", "--namespace", "infra", "--output", format)
		golden(t, "events/list."+format, stable(got.out+got.err))
	}
	got = inCluster(t, "events", "--namespace", "default")
	golden(t, "events/none.txt", got.out+got.err)
}

func TestClusterFailures(t *testing.T) {
	var all strings.Builder
	for _, tt := range []struct {
		args []string
		code int
	}{
		{[]string{"get", "missing", "--namespace", "apps"}, exitFailed},
		{[]string{"get", "a", "b"}, exitUsage},
		{[]string{"get", "a", "--all-namespaces"}, exitUsage},
		{[]string{"get", "--all-namespaces", "--namespace", "apps"}, exitUsage},
		{[]string{"get", "--watch", "--output", "json"}, exitUsage},
		{[]string{"get", "--selector", "a in b"}, exitUsage},
		{[]string{"get", "--output", "wide"}, exitUsage},
		{[]string{"get", "--context", "missing"}, exitFailed},
		{[]string{"events", "--selector", "app=a"}, exitUsage},
		{[]string{"events", "--watch", "--output", "json"}, exitUsage},
	} {
		got := inCluster(t, tt.args...)
		if got.code != tt.code || got.out != "" {
			t.Errorf("%q: expected exit %d and no output, found %d: %s", tt.args, tt.code, got.code, got.out)
		}
		all.WriteString("$ assay " + strings.Join(tt.args, " ") + "\n" + got.err + "\n")
	}
	golden(t, "get/failures.txt", all.String(), theCluster.kubeconfig, "KUBECONFIG")
}

// watcher is a command that goes on, and what it has printed.
type watcher struct {
	mu  sync.Mutex
	out bytes.Buffer
}

func (w *watcher) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.out.Write(p)
}

func (w *watcher) text() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.out.String()
}

// TestWatch: what changes is printed, once, until interrupted, which is how it
// ends well.
func TestWatch(t *testing.T) {
	kube, kubeconfig := startCluster(t)
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	codes := make(chan int, 2)
	start := func(args ...string) *watcher {
		w := &watcher{}
		term, _, _ := fakeTerminal()
		term.now, term.out, term.err = time.Now, w, w
		go func() {
			codes <- run(ctx, term, append(args, "--kubeconfig", kubeconfig, "--namespace", "watched", "--watch"))
		}()
		return w
	}
	shows := func(w *watcher, what string) {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); !strings.Contains(w.text(), what); {
			if time.Now().After(deadline) {
				t.Fatalf("expected %q, found %s", what, w.text())
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	sources, events := start("get"), start("events")
	shows(sources, "NAME")
	shows(events, "LAST SEEN")
	if err := createSource(ctx, kube, "watched", "late", v1alpha1.ModuleSourceStatus{}); err != nil {
		t.Fatal(err)
	}
	shows(sources, "watched/late: no controller has looked at it yet")
	shows(events, "published 1.0.0@"+oldDigest)
	m := &v1alpha1.ModuleSource{}
	if err := kube.Get(ctx, client.ObjectKey{Namespace: "watched", Name: "late"}, m); err != nil {
		t.Fatal(err)
	}
	m.Status = published(v1alpha1.AcceptedSignature{Authority: "release-key", Format: "cosign", KeyFingerprint: oldDigest})
	if err := kube.Status().Update(ctx, m); err != nil {
		t.Fatal(err)
	}
	shows(sources, "release-key (key 11111111)")
	before := m.DeepCopy()
	m.Labels["unseen"] = "true"
	if err := kube.Patch(ctx, m, client.MergeFrom(before)); err != nil {
		t.Fatal(err)
	}
	if err := kube.Delete(ctx, m); err != nil {
		t.Fatal(err)
	}
	shows(sources, "Deleted")
	interrupt()
	for range 2 {
		if code := <-codes; code != exitOK {
			t.Errorf("expected exit 0 after an interrupt, found %d", code)
		}
	}
	if n := strings.Count(sources.text(), "late "); n != 3 {
		t.Errorf("expected a row when it is new, verified and deleted, found %d: %s", n, sources.text())
	}
}

// TestKubectlPlugin: kubectl finds the command line by its name.
func TestKubectlPlugin(t *testing.T) {
	_, kubeconfig := startCluster(t)
	folder := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, filepath.Join(folder, "kubectl-assay")); err != nil {
		t.Fatal(err)
	}
	kubectl := func(args ...string) string {
		command := exec.CommandContext(t.Context(), theCluster.kubectl, args...)
		command.Env = append(os.Environ(), "PATH="+folder, "KUBECONFIG="+kubeconfig, runMain+"=1")
		out, err := command.CombinedOutput()
		if err != nil {
			t.Errorf("kubectl %q: %v: %s", args, err, out)
		}
		return string(out)
	}
	if out := kubectl("assay", "get", "--namespace", "infra"); !strings.Contains(out, "by-key") {
		t.Errorf("expected by-key, found %s", out)
	}
	if out := kubectl("assay", "get", "--help"); !strings.Contains(out, "kubectl assay get [NAME]") {
		t.Errorf("expected its name, found %s", out)
	}
}
