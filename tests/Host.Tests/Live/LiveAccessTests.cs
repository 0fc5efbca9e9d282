using System.Net;
using ZeroFlow.Host.Tests.Control;

namespace ZeroFlow.Host.Tests.Live;

// Who may look, as the headers of a request tell it.
public sealed class LiveAccessTests(ControlServer server) : IClassFixture<ControlServer>
{
    [Theory]
    [InlineData("Host", "localhost", HttpStatusCode.OK)]
    [InlineData("Host", "[::1]:10810", HttpStatusCode.OK)]
    [InlineData("Host", "127.3.2.1", HttpStatusCode.OK)]
    [InlineData("Host", "rebound.example", HttpStatusCode.MisdirectedRequest)]
    [InlineData("Host", "localhost.example", HttpStatusCode.MisdirectedRequest)]
    [InlineData("X-Forwarded-For", "203.0.113.7", HttpStatusCode.Unauthorized)]
    [InlineData("Forwarded", "for=203.0.113.7", HttpStatusCode.Unauthorized)]
    [InlineData("Authorization", "Bearer guessed", HttpStatusCode.Unauthorized)]
    [InlineData("Sec-Fetch-Site", "same-origin", HttpStatusCode.OK)]
    [InlineData("Sec-Fetch-Site", "cross-site", HttpStatusCode.Forbidden)]
    [InlineData("Sec-Fetch-Site", "same-site", HttpStatusCode.Forbidden)]
    [InlineData("Origin", "https://other.example", HttpStatusCode.Forbidden)]
    public async Task Without_a_token_this_machine_alone_may_look_and_no_other_site(string header, string value, HttpStatusCode expected)
    {
        using HttpClient client = server.NewClient(null);
        Assert.Equal(expected, await StatusAsync(client, header, value));
        if (expected != HttpStatusCode.Unauthorized) return;
        using HttpClient known = server.NewClient(header == "Authorization" ? null : server.Token);
        Assert.Equal(HttpStatusCode.OK, await StatusAsync(known, header, header == "Authorization" ? $"Bearer {server.Token}" : value));
    }

    private static async Task<HttpStatusCode> StatusAsync(HttpClient client, string header, string value)
    {
        using var request = new HttpRequestMessage(HttpMethod.Head, "/v1/live");
        request.Headers.TryAddWithoutValidation(header, value);
        using HttpResponseMessage answer = await client.SendAsync(request, TestContext.Current.CancellationToken);
        return answer.StatusCode;
    }
}
