using Amazon.Runtime;
using Amazon.Runtime.Credentials;
using Amazon.S3;

namespace ZeroFlow.Stages.ObjectStores;

/// <summary>
/// The SDK's own chain of credential sources, with a bound on how long it may search. Without one, a machine on which
/// the instance metadata address leads nowhere would hang at start instead of saying that it has no credentials.
/// </summary>
/// <remarks>
/// The chain notices changed profile files, so that a corrected key is used from the next request on. It does not notice
/// a file that was not there when it first looked: that takes a restart. A search that was given up goes on in the
/// background and serves a later request.
/// </remarks>
internal sealed class S3Credentials(AmazonS3Config config, TimeProvider time, string location)
    : AWSCredentials, IDisposable
{
    // The metadata service answers within milliseconds where there is one.
    private static readonly TimeSpan SearchTimeout = TimeSpan.FromSeconds(5);

    private readonly DefaultAWSCredentialsIdentityResolver _chain = new();

    /// <inheritdoc/>
    public override ImmutableCredentials GetCredentials() => GetCredentialsAsync().GetAwaiter().GetResult();

    /// <inheritdoc/>
    public override async Task<ImmutableCredentials> GetCredentialsAsync()
    {
        try
        {
            // On the pool, since some of the sources block their caller.
            Task<ImmutableCredentials> search = Task.Factory.StartNew(
                SearchAsync, CancellationToken.None, TaskCreationOptions.DenyChildAttach, TaskScheduler.Default).Unwrap();
            return await search.WaitAsync(SearchTimeout, time);
        }
        catch (Exception error) when (error is AmazonClientException or TimeoutException)
        {
            throw new ObjectStoreException(
                ObjectStoreErrorKind.Denied,
                $"There are no credentials for {location}: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile " +
                "in ~/.aws/credentials, or run where AWS provides a role.",
                error);
        }
    }

    public void Dispose() => _chain.Dispose();

    private async Task<ImmutableCredentials> SearchAsync()
    {
        AWSCredentials found = await _chain.ResolveIdentityAsync(config, CancellationToken.None);
        return await found.GetCredentialsAsync();
    }
}
