using Amazon.Runtime;
using Xunit;
using ZeroFlow.Stages.ObjectStores;
using ZeroFlow.TestKit.ObjectStores;

[assembly: AssemblyFixture(typeof(RadosGatewayFixture))]

namespace ZeroFlow.Stages.Tests.ObjectStores;

public sealed class SimulatedStoreContractTests : ObjectStoreContract
{
    protected override Task<IObjectStore> OpenEmptyStoreAsync() =>
        Task.FromResult<IObjectStore>(new SimulatedObjectStore(TimeProvider.System));
}

public sealed class DirectoryStoreContractTests : ObjectStoreContract
{
    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("zeroflow-store-");

    protected override bool AllowsKeyBelowKey => false;

    protected override Task<IObjectStore> OpenEmptyStoreAsync() =>
        Task.FromResult<IObjectStore>(DirectoryObjectStore.Open(_directory.FullName, TimeProvider.System));

    protected override ValueTask CleanUpAsync()
    {
        _directory.Delete(recursive: true);
        return ValueTask.CompletedTask;
    }
}

public sealed class S3StubContractTests : ObjectStoreContract
{
    private S3Stub? _stub;

    protected override async Task<IObjectStore> OpenEmptyStoreAsync()
    {
        _stub = await S3Stub.StartAsync();
        return new S3ObjectStore(
            S3StoreOptions.Parse(_stub.UrlOf("some/prefix")), TimeProvider.System, new BasicAWSCredentials("a", "s"));
    }

    protected override ValueTask CleanUpAsync() => _stub?.DisposeAsync() ?? ValueTask.CompletedTask;
}

/// <summary>The same against a real server; skipped where it cannot run.</summary>
public sealed class RadosGatewayContractTests(RadosGatewayFixture gateway) : ObjectStoreContract
{
    private static int _stores;

    protected override async Task<IObjectStore> OpenEmptyStoreAsync()
    {
        Assert.SkipWhen(RadosGatewayFixture.WhyUnavailable() is not null, RadosGatewayFixture.WhyUnavailable() ?? "");
        string url = await gateway.UrlOfAsync($"contract-{Interlocked.Increment(ref _stores)}");
        var credentials = new BasicAWSCredentials(RadosGatewayFixture.AccessKey, RadosGatewayFixture.SecretKey);
        return new S3ObjectStore(S3StoreOptions.Parse(url), TimeProvider.System, credentials);
    }
}
