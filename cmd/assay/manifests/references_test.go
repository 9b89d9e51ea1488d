package manifests

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/assay-dev/assay/controllers/inputs"
)

func referencesOf(content string) *References {
	set := &Set{}
	(&parser{file: "a.yaml", set: set}).parse([]byte(content))
	return NewReferences(set, "default")
}

func TestSecretsOfManifests(t *testing.T) {
	const head = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\n"
	tests := map[string]struct {
		content string
		data    map[string]string
		kind    corev1.SecretType
		why     string
	}{
		"data":           {content: head + "data: {a: YQ==}\n", data: map[string]string{"a": "a"}},
		"stringData":     {content: head + "stringData: {a: b}\n", data: map[string]string{"a": "b"}},
		"both":           {content: head + "stringData: {a: b}\ndata: {a: YQ==, c: Yw==}\n", data: map[string]string{"a": "b", "c": "c"}},
		"type":           {content: head + "type: kubernetes.io/dockerconfigjson\n", kind: corev1.SecretTypeDockerConfigJson},
		"immutable":      {content: head + "immutable: true\ndata: {a: YQ==}\n", data: map[string]string{"a": "a"}},
		"twice the same": {content: head + "data: {a: YQ==}\n---\n" + head + "stringData: {a: a}\n", data: map[string]string{"a": "a"}},
		"twice":          {content: head + "data: {a: YQ==}\n---\n" + head + "stringData: {a: b}\n", why: "it is in a.yaml:1:1 and in a.yaml:6:1 with other content"},
		"no base64":      {content: head + "data: {a: topsecret!}\n", why: "it cannot be read in a.yaml:1:1: expected a Secret with base64 as data"},
		"a number":       {content: head + "stringData: {a: 7}\n", why: "it cannot be read in a.yaml:1:1: expected a Secret"},
		"entry twice":    {content: head + "stringData:\n  a: topsecret\n  a: c\n", why: "it cannot be read in a.yaml:1:1: expected stringData.a once"},
		"SOPS":           {content: head + "data: {a: YQ==}\nsops: {}\n", why: "it is encrypted with SOPS in a.yaml:1:1"},
		"SOPS and plain": {content: head + "sops: {}\n---\n" + head + "data: {a: YQ==}\n", data: map[string]string{"a": "a"}},
		"sealed":         {content: "apiVersion: bitnami.com/v1alpha1\nkind: SealedSecret\nmetadata: {name: s}\n", why: "it is a SealedSecret in a.yaml:1:1"},
		"external":       {content: "apiVersion: external-secrets.io/v1\nkind: ExternalSecret\nmetadata: {name: x}\nspec: {target: {name: s}}\n", why: "it is an ExternalSecret in a.yaml:1:1"},
		"external, same": {content: "apiVersion: external-secrets.io/v1\nkind: ExternalSecret\nmetadata: {name: s}\n", why: "it is an ExternalSecret in a.yaml:1:1"},
		"a ConfigMap":    {content: "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: s}\n", why: "it is not in the manifests"},
		"elsewhere":      {content: strings.Replace(head, "name: s", "name: s, namespace: b", 1), why: "it is not in the manifests (one of the same name is in the namespace b, in a.yaml:1:1)"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			secret := &corev1.Secret{}
			err := referencesOf(tt.content).Get(t.Context(), client.ObjectKey{Namespace: "default", Name: "s"}, secret)
			if tt.why != "" {
				expectMissing(t, err, tt.why, "give it with --secret s=FILE, or have it read from a cluster with --kubeconfig FILE")
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var found map[string]string
			for name, content := range secret.Data {
				if found == nil {
					found = map[string]string{}
				}
				found[name] = string(content)
			}
			if diff := cmp.Diff(tt.data, found); diff != "" {
				t.Errorf("data (-expected +found):\n%s", diff)
			}
			if tt.kind == "" {
				tt.kind = corev1.SecretTypeOpaque
			}
			if secret.Type != tt.kind {
				t.Errorf("expected the type %s, found %s", tt.kind, secret.Type)
			}
		})
	}
}

// expectMissing fails unless an object does not exist, for reasons.
func expectMissing(t *testing.T, err error, says ...string) {
	t.Helper()
	var unreadable *inputs.UnreadableError
	if !errors.As(err, &unreadable) || !apierrors.IsNotFound(err) {
		t.Fatalf("expected that it does not exist, found %v", err)
	}
	for _, text := range says {
		if !strings.Contains(unreadable.Why, text) {
			t.Errorf("expected %q, found %q", text, unreadable.Why)
		}
	}
	if strings.Contains(unreadable.Why, "topsecret") {
		t.Errorf("%q holds content", unreadable.Why)
	}
}

func TestConfigMapsOfManifests(t *testing.T) {
	r := referencesOf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c, namespace: apps}\ndata: {a: b}\nbinaryData: {c: ZA==}\n")
	found := &corev1.ConfigMap{}
	if err := r.Get(t.Context(), client.ObjectKey{Namespace: "apps", Name: "c"}, found); err != nil {
		t.Fatal(err)
	}
	if found.Data["a"] != "b" || string(found.BinaryData["c"]) != "d" {
		t.Errorf("found %v", found)
	}
	expectMissing(t, r.Get(t.Context(), client.ObjectKey{Namespace: "apps", Name: "d"}, found), "give it with --configmap d=FILE")
}

// oneCluster answers the same to every question.
type oneCluster struct {
	client.Reader
	secret *corev1.Secret
	err    error
	asked  int
}

func (c *oneCluster) Get(_ context.Context, _ client.ObjectKey, into client.Object, _ ...client.GetOption) error {
	if c.asked++; c.err != nil {
		return c.err
	}
	return assign(into, c.secret)
}

// A cluster is asked for what is not here, and only for that.
func TestReferencesOfACluster(t *testing.T) {
	notFound := apierrors.NewNotFound(schema.GroupResource{Resource: "secrets"}, "s")
	there := &corev1.Secret{Data: map[string][]byte{"of": []byte("the cluster")}}
	plain := "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {of: the manifests}\n"
	tests := map[string]struct {
		content string
		cluster oneCluster
		of, why string
		asked   int
	}{
		"in the manifests":        {content: plain, of: "the manifests"},
		"in the cluster":          {cluster: oneCluster{secret: there}, of: "the cluster", asked: 1},
		"encrypted":               {content: plain + "sops: {}\n", cluster: oneCluster{secret: there}, of: "the cluster", asked: 1},
		"nowhere":                 {cluster: oneCluster{err: notFound}, why: "it is neither in the manifests nor in the cluster: give it with --secret s=FILE", asked: 1},
		"encrypted and not there": {content: plain + "sops: {}\n", cluster: oneCluster{err: notFound}, why: "it is encrypted with SOPS", asked: 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := referencesOf(tt.content)
			r.Cluster, r.ClusterName = &tt.cluster, "the cluster"
			secret := &corev1.Secret{}
			err := r.Get(t.Context(), client.ObjectKey{Namespace: "default", Name: "s"}, secret)
			if tt.why != "" {
				expectMissing(t, err, tt.why)
			} else if err != nil || string(secret.Data["of"]) != tt.of {
				t.Errorf("expected that of %s, found %v, %v", tt.of, secret.Data, err)
			}
			if tt.cluster.asked != tt.asked {
				t.Errorf("expected %d questions, found %d", tt.asked, tt.cluster.asked)
			}
		})
	}
	r := referencesOf("")
	r.Cluster, r.ClusterName = &oneCluster{err: errors.New("down\x1b[2J")}, "the cluster"
	err := r.Get(t.Context(), client.ObjectKey{Namespace: "default", Name: "s"}, &corev1.Secret{})
	if apierrors.IsNotFound(err) || err == nil || err.Error() != "the cluster did not answer with it: down\ufffd[2J" {
		t.Errorf("expected that it cannot be read, found %v", err)
	}
}
