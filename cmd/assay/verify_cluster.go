package main

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// otherCluster says which cluster Secrets and ConfigMaps are read from.
type otherCluster struct{ kubeconfig, context string }

// reader reads from the cluster, and what messages call it; nil where neither
// flag asks for one. Nobody is asked yet.
func (f otherCluster) reader() (client.Reader, string, error) {
	if f.kubeconfig == "" && f.context == "" {
		return nil, "", nil
	}
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = f.kubeconfig
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: f.context})
	raw, err := loader.RawConfig()
	if err != nil {
		if isMissing(err) {
			return nil, "", usageError("", "--kubeconfig: expected a file, found nothing at %.300q", f.kubeconfig)
		}
		return nil, "", usageError("", "--kubeconfig: %v", err)
	}
	name := f.context
	if name == "" {
		name = raw.CurrentContext
	}
	config, err := loader.ClientConfig()
	if err != nil {
		return nil, "", usageError("", "--kubeconfig, --context: expected a cluster, found none that can be used: %v", err)
	}
	config.UserAgent = userAgent()
	config.QPS = -1 // a few questions, and the API server has limits of its own
	scheme := runtime.NewScheme()
	if err := corev1.AddToScheme(scheme); err != nil {
		return nil, "", err
	}
	// Without one of its own, the client would first ask for all there is.
	mapper := meta.NewDefaultRESTMapper([]schema.GroupVersion{corev1.SchemeGroupVersion})
	for _, kind := range []string{"Secret", "ConfigMap"} {
		mapper.Add(corev1.SchemeGroupVersion.WithKind(kind), meta.RESTScopeNamespace)
	}
	reader, err := client.New(config, client.Options{Scheme: scheme, Mapper: mapper})
	if err != nil {
		return nil, "", fmt.Errorf("the cluster of --kubeconfig: %w", err)
	}
	return reader, fmt.Sprintf("the cluster (context %q)", name), nil
}
