package access

import (
	"context"
	"encoding/base64"
	"errors"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/containers/azcontainerregistry"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/awslabs/amazon-ecr-credential-helper/ecr-login/api"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/v1/google"
)

// identities are the clouds' that are known.
func identities() []identity {
	return []identity{
		{"aws", isECR, loginToECR},
		{"google", isGoogle, loginToGoogle},
		{"azure", isACR, loginToACR},
	}
}

func isECR(host string) bool {
	registry, err := api.ExtractRegistry(host)
	return err == nil && registry.Service == api.ServiceECR && !strings.Contains(host, ":")
}

// loginToECR does not go through the credential helper itself, which keeps tokens in files and knows no contexts.
func loginToECR(ctx context.Context, host string) (authn.AuthConfig, error) {
	registry, err := api.ExtractRegistry(host)
	if err != nil {
		return authn.AuthConfig{}, err
	}
	options := []func(*config.LoadOptions) error{config.WithRegion(registry.Region)}
	if registry.FIPS {
		options = append(options, config.WithUseFIPSEndpoint(aws.FIPSEndpointStateEnabled))
	}
	configured, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return authn.AuthConfig{}, err
	}
	answer, err := ecr.NewFromConfig(configured).GetAuthorizationToken(ctx, &ecr.GetAuthorizationTokenInput{})
	if err != nil {
		return authn.AuthConfig{}, err
	}
	for _, data := range answer.AuthorizationData {
		token, err := base64.StdEncoding.DecodeString(aws.ToString(data.AuthorizationToken))
		if user, password, ok := strings.Cut(string(token), ":"); err == nil && ok {
			return authn.AuthConfig{Username: user, Password: password}, nil
		}
	}
	return authn.AuthConfig{}, errors.New("the answer has no token that can be read")
}

func isGoogle(host string) bool {
	return host == "gcr.io" || strings.HasSuffix(host, ".gcr.io") || strings.HasSuffix(host, ".pkg.dev")
}

func loginToGoogle(ctx context.Context, _ string) (authn.AuthConfig, error) {
	auth, err := google.NewEnvAuthenticator(ctx)
	if err != nil {
		return authn.AuthConfig{}, err
	}
	token, err := authn.Authorization(ctx, auth)
	if err != nil {
		return authn.AuthConfig{}, err
	}
	return *token, nil
}

const (
	azureAudience = "https://containerregistry.azure.net/.default"
	azureUser     = "00000000-0000-0000-0000-000000000000" // stands for a token in the password's place
)

func isACR(host string) bool { return strings.HasSuffix(host, ".azurecr.io") }

func loginToACR(ctx context.Context, host string) (authn.AuthConfig, error) {
	who, err := azidentity.NewDefaultAzureCredential(nil)
	if err != nil {
		return authn.AuthConfig{}, err
	}
	token, err := who.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{azureAudience}})
	if err != nil {
		return authn.AuthConfig{}, err
	}
	registry, err := azcontainerregistry.NewAuthenticationClient("https://"+host, nil)
	if err != nil {
		return authn.AuthConfig{}, err
	}
	answer, err := registry.ExchangeAADAccessTokenForACRRefreshToken(ctx, azcontainerregistry.PostContentSchemaGrantTypeAccessToken, host,
		&azcontainerregistry.AuthenticationClientExchangeAADAccessTokenForACRRefreshTokenOptions{AccessToken: &token.Token})
	if err != nil {
		return authn.AuthConfig{}, err
	}
	if answer.RefreshToken == nil {
		return authn.AuthConfig{}, errors.New("the answer has no token")
	}
	return authn.AuthConfig{Username: azureUser, Password: *answer.RefreshToken}, nil
}
