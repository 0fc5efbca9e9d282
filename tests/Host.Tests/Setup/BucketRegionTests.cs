using System.Net;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.Logging;
using ZeroFlow.Host.Setup;
using ZeroFlow.Stages.ObjectStores;

namespace ZeroFlow.Host.Tests.Setup;

public sealed class BucketRegionTests
{
    // AWS answers 403 or 301 to a stranger, and tells the region all the same.
    [Theory]
    [InlineData(403, "eu-central-1")]
    [InlineData(301, "eu-central-1")]
    [InlineData(404, null)]
    public async Task The_region_is_in_a_header_whatever_the_status(int status, string? region)
    {
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, 0));
        await using WebApplication server = builder.Build();
        string asked = "";
        server.Run(context =>
        {
            asked = $"{context.Request.Method} {context.Request.Path}";
            context.Response.StatusCode = status;
            if (region is not null) context.Response.Headers["x-amz-bucket-region"] = region;
            return Task.CompletedTask;
        });
        await server.StartAsync(TestContext.Current.CancellationToken);
        var store = S3StoreOptions.Parse($"s3://some-bucket/prefix?endpoint={server.Urls.Single()}");
        Assert.Equal(region, await BucketRegion.FindAsync(store, TestContext.Current.CancellationToken));
        Assert.Equal("HEAD /some-bucket", asked);
        await server.StopAsync(TestContext.Current.CancellationToken);
        Assert.Null(await BucketRegion.FindAsync(store, TestContext.Current.CancellationToken));
    }
}
