package api

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/discovery"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/assay-dev/assay/api/v1alpha1"
)

// tableOf asks for objects the way kubectl get does.
func tableOf(t *testing.T, path string) metav1.Table {
	t.Helper()
	address := strings.TrimSuffix(kubeconfig.Host, "/") + "/apis/" + v1alpha1.GroupVersion.String() + path
	request, err := http.NewRequestWithContext(background, http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io")
	response, err := kubeHTTP.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var view metav1.Table
	if err := json.NewDecoder(response.Body).Decode(&view); err != nil || response.StatusCode != http.StatusOK || view.Kind != "Table" {
		t.Fatalf("expected a table, found %d and a %q (%v)", response.StatusCode, view.Kind, err)
	}
	return view
}

// cells are the cells of the only row by the name of their column, with an age
// that does not change, and the columns that kubectl get shows without
// -o wide.
func cells(t *testing.T, view metav1.Table) (columns []string, row map[string]any) {
	t.Helper()
	if len(view.Rows) != 1 || len(view.Rows[0].Cells) != len(view.ColumnDefinitions) {
		t.Fatalf("expected one row of %d cells, found %+v", len(view.ColumnDefinitions), view.Rows)
	}
	row = map[string]any{}
	for i, column := range view.ColumnDefinitions {
		if column.Priority == 0 {
			columns = append(columns, column.Name)
		}
		row[column.Name] = view.Rows[0].Cells[i]
	}
	if age, _ := row["Age"].(string); regexp.MustCompile(`^\d+[smh]`).MatchString(age) {
		row["Age"] = "some time"
	}
	return columns, row
}

func TestColumns(t *testing.T) {
	t.Parallel()
	stored := create(t, write())
	path := "/namespaces/" + stored.GetNamespace() + "/modulesources/" + stored.GetName()

	columns, row := cells(t, tableOf(t, path))
	if diff := cmp.Diff([]string{"Name", "URL", "Version", "Verified", "Ready", "Reason", "Age"}, columns); diff != "" {
		t.Errorf("columns (-want +found):\n%s", diff)
	}
	want := map[string]any{
		"Name": stored.GetName(), "URL": "oci://registry.example.org/modules/app",
		"Version": nil, "Verified": nil, "Ready": nil, "Reason": nil, "Age": "some time",
	}
	if diff := cmp.Diff(want, row); diff != "" {
		t.Errorf("a new object (-want +found):\n%s", diff)
	}

	// Verified and Ready differ, and other conditions stand around them, so
	// that no column can be taken for another.
	status := map[string]any{
		"observedGeneration": int64(1),
		"observed":           map[string]any{"version": "6.5.4", "revision": "6.5.4@" + someDigest, "digest": someDigest, "firstSeenAt": "2026-01-01T00:00:00Z"},
		"conditions": []any{
			condition(v1alpha1.ConditionArtifactInStorage, "False", v1alpha1.ReasonNoArtifact),
			condition(v1alpha1.ConditionReady, "False", v1alpha1.ReasonRateLimited),
			condition(v1alpha1.ConditionVerified, "True", v1alpha1.ReasonSignatureVerified),
			condition(v1alpha1.ConditionFetchFailed, "True", v1alpha1.ReasonArtifactInvalid),
		},
	}
	if err := unstructured.SetNestedMap(stored.Object, status, "status"); err != nil {
		t.Fatal(err)
	}
	if err := kube.Status().Update(background, stored); err != nil {
		t.Fatal(err)
	}
	_, row = cells(t, tableOf(t, path))
	want["Version"], want["Verified"], want["Ready"], want["Reason"] = "6.5.4", "True", "False", v1alpha1.ReasonRateLimited
	if diff := cmp.Diff(want, row); diff != "" {
		t.Errorf("an object with a status (-want +found):\n%s", diff)
	}
}

func condition(kind, status, reason string) map[string]any {
	return map[string]any{"type": kind, "status": status, "reason": reason, "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}
}

// TestNames: what kubectl get takes for them.
func TestNames(t *testing.T) {
	t.Parallel()
	api, err := discovery.NewDiscoveryClientForConfigAndClient(kubeconfig, kubeHTTP)
	if err != nil {
		t.Fatal(err)
	}
	resources, err := api.ServerResourcesForGroupVersion(v1alpha1.GroupVersion.String())
	if err != nil {
		t.Fatal(err)
	}
	type names struct {
		Kind, Singular         string
		ShortNames, Categories []string
		Namespaced             bool
	}
	found := map[string]names{}
	for _, r := range resources.APIResources {
		found[r.Name] = names{r.Kind, r.SingularName, r.ShortNames, r.Categories, r.Namespaced}
	}
	want := map[string]names{
		"modulesources":        {Kind: "ModuleSource", Singular: "modulesource", ShortNames: []string{"modsrc"}, Categories: []string{"assay"}, Namespaced: true},
		"modulesources/status": {Kind: "ModuleSource", Namespaced: true},
	}
	if diff := cmp.Diff(want, found); diff != "" {
		t.Errorf("(-want +found):\n%s", diff)
	}
}

// TestEvidenceIsStored: nothing of what the controller says of a signature is
// dropped, and nothing is required that not every signature has.
func TestEvidenceIsStored(t *testing.T) {
	t.Parallel()
	stored := &v1alpha1.ModuleSource{}
	if err := kube.Get(background, client.ObjectKeyFromObject(create(t, write())), stored); err != nil {
		t.Fatal(err)
	}
	at := metav1.NewTime(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).Local())
	evidence := &v1alpha1.Verification{
		Digest: someDigest, PolicyHash: someDigest, VerifiedAt: at,
		Signatures: []v1alpha1.AcceptedSignature{
			{Authority: "key", Format: "cosign", KeyFingerprint: someDigest},
			{
				Authority: "keyless", Format: "bundle", Issuer: someIssuer, Subject: someSubject,
				Extensions:      []v1alpha1.SignerExtension{{Name: "buildTrigger", Value: "push"}, {Name: "runnerEnvironment"}},
				TransparencyLog: &v1alpha1.TransparencyLogEntry{LogID: "c0ff", URL: "https://rekor.example.org", Index: 1 << 40, IntegratedTime: &at},
				SignedTimestamp: &at,
			},
			{Authority: "first entry, no time", Format: "bundle", TransparencyLog: &v1alpha1.TransparencyLogEntry{LogID: "c0ff"}},
		},
	}
	stored.Status.Verification = evidence.DeepCopy()
	if err := kube.Status().Update(background, stored, client.FieldValidation(metav1.FieldValidationStrict)); err != nil {
		t.Fatal(err)
	}
	found := &v1alpha1.ModuleSource{}
	if err := kube.Get(background, client.ObjectKeyFromObject(stored), found); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(evidence, found.Status.Verification); diff != "" {
		t.Errorf("(-written +stored):\n%s", diff)
	}
}
