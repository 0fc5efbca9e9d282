using System.Net;
using System.Text;
using System.Text.Json;
using ZeroFlow.Host.Control;
using ZeroFlow.Pipeline.Faults;

namespace ZeroFlow.Host.Tests.Control;

// The control API as a program sees it that is not ours.
public sealed class ControlApiTests : IAsyncLifetime
{
    private readonly ControlServer _server = new();

    public ValueTask InitializeAsync() => _server.InitializeAsync();

    public ValueTask DisposeAsync() => _server.DisposeAsync();

    [Theory]
    [InlineData(null)]
    [InlineData("wrong")]
    public async Task Without_the_token_nothing_is_told_or_changed(string? token)
    {
        using HttpClient client = _server.NewClient(token);
        foreach (ControlRoute route in ControlRoutes.All)
        {
            using var request = new HttpRequestMessage(new HttpMethod(route.Method), route.Path.Replace("{name}", "disk", StringComparison.Ordinal));
            using HttpResponseMessage response = await client.SendAsync(request, TestContext.Current.CancellationToken);
            Assert.Equal(HttpStatusCode.Unauthorized, response.StatusCode);
            await AssertProblemAsync(response);
        }

        using HttpResponseMessage probe = await client.GetAsync("/healthz", TestContext.Current.CancellationToken);
        Assert.Equal(HttpStatusCode.OK, probe.StatusCode);
    }

    [Theory]
    [InlineData("GET", "/v1/none", null, 404)]
    [InlineData("GET", "/v1/exports/none", null, 404)]
    [InlineData("POST", "/v1/exports", null, 405)]
    [InlineData("PUT", "/v1/exports/disk", "{}", 400)]
    [InlineData("PUT", "/v1/exports/disk", "{\"sizeBytes\":4096", 400)]
    [InlineData("PUT", "/v1/exports/disk", "{\"sizeBytes\":4096,\"level\":1}", 400)]
    [InlineData("PUT", "/v1/exports/disk", "{\"sizeBytes\":4096,\"sise\":1}", 400)]
    [InlineData("PUT", "/v1/exports/disk", "{\"sizeBytes\":4096,\"cloneOf\":\"a@b\"}", 400)]
    [InlineData("PUT", "/v1/exports/disk", "null", 400)]
    [InlineData("PUT", "/v1/exports/disk", "", 400)]
    [InlineData("POST", "/v1/snapshots", "{}", 400)]
    [InlineData("POST", "/v1/snapshots", "{\"name\":null}", 400)]
    [InlineData("POST", "/v1/snapshots", "{\"name\":\"s\",\"exports\":[null]}", 400)]
    [InlineData("DELETE", "/v1/exports/there?force=maybe", null, 400)]
    [InlineData("GET", "/v1/exports/there/content?offset=-1", null, 400)]
    [InlineData("GET", "/v1/exports/there/content?offset=8000&length=1000", null, 400)]
    [InlineData("GET", "/v1/exports/there/content?offset=99999999999999999999", null, 400)]
    [InlineData("PUT", "/v1/exports/there/content?offset=8000", "1234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890", 400)]
    [InlineData("POST", "/v1/exports/there/zero", "{\"offset\":0,\"length\":99999}", 400)]
    [InlineData("POST", "/v1/exports/there/zero", "{\"offset\":-1,\"length\":1}", 400)]
    public async Task What_is_not_understood_is_a_problem_that_says_why(string method, string path, string? body, int status)
    {
        await _server.DoAsync("export", "create", "there", "8K");
        using HttpClient client = _server.NewClient(_server.Token);
        using var request = new HttpRequestMessage(new HttpMethod(method), path);
        if (body is not null) request.Content = new StringContent(body, Encoding.UTF8, "application/json");
        using HttpResponseMessage response = await client.SendAsync(request, TestContext.Current.CancellationToken);
        Assert.Equal(status, (int)response.StatusCode);
        await AssertProblemAsync(response);
        Assert.Equal(["there"], await NamesAsync(client));
    }

    [Fact]
    public async Task A_body_that_is_too_long_or_ends_too_soon_changes_nothing_more()
    {
        await _server.DoAsync("export", "create", "there", "8K");
        using HttpClient client = _server.NewClient(_server.Token);
        using HttpResponseMessage response = await client.PutAsync(
            "/v1/exports/disk", new StringContent(new string(' ', ControlApi.JsonBytesMax + 1)), TestContext.Current.CancellationToken);
        Assert.Equal(HttpStatusCode.RequestEntityTooLarge, response.StatusCode);
        using (var socket = new System.Net.Sockets.TcpClient())
        {
            await socket.ConnectAsync(IPEndPoint.Parse(_server.Address), TestContext.Current.CancellationToken);
            string head = $"PUT /v1/exports/there/content HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {_server.Token}\r\nContent-Length: 4096\r\n\r\nabc";
            await socket.GetStream().WriteAsync(Encoding.ASCII.GetBytes(head), TestContext.Current.CancellationToken);
        }

        byte[] content = await client.GetByteArrayAsync("/v1/exports/there/content?length=512", TestContext.Current.CancellationToken);
        Assert.All(content, static value => Assert.Equal(0, value));
    }

    [Fact]
    public async Task The_description_names_every_route_and_what_it_takes()
    {
        using HttpClient client = _server.NewClient(_server.Token);
        JsonElement document = JsonDocument.Parse(await client.GetStringAsync("/v1/openapi.json", TestContext.Current.CancellationToken)).RootElement;
        Assert.Equal("3.1.0", document.GetProperty("openapi").GetString());
        foreach (ControlRoute route in ControlRoutes.All)
        {
            JsonElement operation = document.GetProperty("paths").GetProperty(route.Path).GetProperty(route.Method.ToLowerInvariant());
            Assert.Equal(route.Summary, operation.GetProperty("summary").GetString());
            Assert.Equal(route.Request is not null, operation.TryGetProperty("requestBody", out _));
            Assert.Contains("timeout", operation.GetProperty("parameters").EnumerateArray().Select(static p => p.GetProperty("name").GetString()));
        }

        Assert.True(document.GetProperty("components").GetProperty("schemas").GetProperty("ExportView").GetProperty("properties").TryGetProperty("sizeBytes", out _));
    }

    [Fact]
    public async Task The_token_is_readable_by_its_owner_alone_and_stays()
    {
        string path = Path.Combine(_server.DataDirectory, AdminToken.FileName);
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(path));
        Assert.True(AdminToken.ReadOrCreate(path).Matches(_server.Token));
        Assert.False(AdminToken.ReadOrCreate(path).Matches(_server.Token + "x"));
        await _server.Api.CloseAsync(TimeSpan.Zero);
        using HttpClient client = _server.NewClient(_server.Token);
        using HttpResponseMessage response = await client.GetAsync("/v1/exports", TestContext.Current.CancellationToken);
        Assert.Equal(HttpStatusCode.ServiceUnavailable, response.StatusCode);
        await AssertProblemAsync(response);
    }

    [Fact]
    public async Task A_store_that_another_server_took_over_says_so_with_503()
    {
        await _server.DoAsync("export", "create", "disk", "1M");
        await _server.DoAsync("flush");
        await _server.TakeOverAsync();
        using HttpClient client = _server.NewClient(_server.Token);

        // A writer learns it from its next table.
        using HttpResponseMessage written = await client.PutAsync(
            "/v1/exports/disk/content", new ByteArrayContent(new byte[512]), TestContext.Current.CancellationToken);
        Assert.Equal(HttpStatusCode.NoContent, written.StatusCode);
        foreach (string path in (string[])["/v1/flush", "/v1/exports/disk/flush"])
        {
            using HttpResponseMessage response = await client.PostAsync(path, null, TestContext.Current.CancellationToken);
            Assert.Equal(HttpStatusCode.ServiceUnavailable, response.StatusCode);
            JsonElement problem = await AssertProblemAsync(response);
            Assert.Equal("fenced", problem.GetProperty("fault").GetString());
        }

        var (code, _, error) = await _server.RunAsync("export", "create", "more", "1M");
        Assert.Equal(1, code);
        Assert.Contains("Another server", error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Equal_creations_at_once_all_find_what_they_ask_for_and_one_makes_it()
    {
        using HttpClient client = _server.NewClient(_server.Token);
        for (int round = 0; round < 5; round++)
        {
            string name = $"disk{round}";
            HttpStatusCode[] codes = await Task.WhenAll(Enumerable.Range(0, 20).Select(_ => CreateAsync(client, name, "{\"sizeBytes\":1048576}")));
            Assert.Single(codes, HttpStatusCode.Created);
            Assert.Equal(19, codes.Count(static code => code == HttpStatusCode.OK));
        }

        Assert.Equal(5, (await NamesAsync(client)).Length);
    }

    [Fact]
    public async Task A_clone_that_is_asked_for_again_is_found_and_one_of_something_else_is_a_conflict()
    {
        await _server.DoAsync("export", "create", "disk", "1M");
        await _server.DoAsync("snapshot", "s", "disk");
        await _server.DoAsync("snapshot", "t", "disk");
        using HttpClient client = _server.NewClient(_server.Token);
        HttpStatusCode[] codes = await Task.WhenAll(
            Enumerable.Range(0, 4).Select(_ => CreateAsync(client, "clone", "{\"cloneOf\":\"disk@s\"}")));
        Assert.All(codes, code => Assert.True(code is HttpStatusCode.Created or HttpStatusCode.OK, $"{code}"));
        Assert.Equal(HttpStatusCode.OK, await CreateAsync(client, "clone", "{\"cloneOf\":\"disk@s\"}"));
        Assert.Equal(HttpStatusCode.OK, await CreateAsync(client, "clone", "{\"cloneOf\":\"disk@s\",\"level\":\"journaled\"}"));
        Assert.Equal(HttpStatusCode.Conflict, await CreateAsync(client, "clone", "{\"cloneOf\":\"disk@s\",\"level\":\"published\"}"));
        Assert.Equal(HttpStatusCode.Conflict, await CreateAsync(client, "clone", "{\"cloneOf\":\"disk@t\"}"));
        await _server.DoAsync("export", "rm", "clone");
        Assert.Equal(HttpStatusCode.Created, await CreateAsync(client, "clone", "{\"cloneOf\":\"disk@t\"}"));
        Assert.Equal(["clone", "disk", "disk@s", "disk@t"], await NamesAsync(client));
    }

    [Fact]
    public async Task A_name_that_stands_for_something_else_is_refused_whatever_the_size()
    {
        await _server.DoAsync("export", "create", "disk", "1M");
        await _server.DoAsync("snapshot", "s", "disk");
        using HttpClient client = _server.NewClient(_server.Token);
        Assert.Equal(HttpStatusCode.OK, await CreateAsync(client, "disk", "{\"sizeBytes\":1048576}"));
        Assert.Equal(HttpStatusCode.OK, await CreateAsync(client, "disk", "{\"sizeBytes\":1048576,\"level\":\"journaled\"}"));
        Assert.Equal(HttpStatusCode.Conflict, await CreateAsync(client, "disk", "{\"sizeBytes\":4096}"));
        Assert.Equal(HttpStatusCode.Conflict, await CreateAsync(client, "disk", "{\"sizeBytes\":1048576,\"level\":\"published\"}"));
        Assert.Equal(HttpStatusCode.Conflict, await CreateAsync(client, "disk", "{\"cloneOf\":\"disk@s\"}"));
        Assert.Equal(HttpStatusCode.Conflict, await CreateAsync(client, "disk%40s", "{\"sizeBytes\":1048576}"));
        Assert.Equal(HttpStatusCode.BadRequest, await CreateAsync(client, "disk%40t", "{\"sizeBytes\":1048576}"));
        Assert.Equal(["disk", "disk@s"], await NamesAsync(client));
    }

    [Theory]
    [InlineData(FaultKind.Invalid, 400)]
    [InlineData(FaultKind.Denied, 403)]
    [InlineData(FaultKind.NotFound, 404)]
    [InlineData(FaultKind.Conflict, 409)]
    [InlineData(FaultKind.Corrupt, 500)]
    [InlineData(FaultKind.Unavailable, 503)]
    [InlineData(FaultKind.Fenced, 503)]
    [InlineData(FaultKind.Closing, 503)]
    [InlineData(FaultKind.Full, 507)]
    public void Every_kind_of_fault_has_its_status_and_says_its_kind(FaultKind kind, int status)
    {
        Problem problem = FaultStatuses.ProblemOf(new StorageFaultException(kind, "Why."));
        Assert.Equal((status, kind, "Why."), (problem.Status, problem.Fault, problem.Detail));
    }

    private static async Task<JsonElement> AssertProblemAsync(HttpResponseMessage response)
    {
        Assert.Equal("application/problem+json", response.Content.Headers.ContentType?.MediaType);
        JsonElement problem = JsonDocument.Parse(await response.Content.ReadAsStringAsync(TestContext.Current.CancellationToken)).RootElement;
        Assert.Equal((int)response.StatusCode, problem.GetProperty("status").GetInt32());
        Assert.NotEqual("", problem.GetProperty("detail").GetString());
        return problem;
    }

    private static async Task<HttpStatusCode> CreateAsync(HttpClient client, string name, string body)
    {
        using HttpResponseMessage response = await client.PutAsync($"/v1/exports/{name}", new StringContent(body), TestContext.Current.CancellationToken);
        return response.StatusCode;
    }

    private static async Task<string[]> NamesAsync(HttpClient client)
    {
        JsonElement list = JsonDocument.Parse(await client.GetStringAsync("/v1/exports", TestContext.Current.CancellationToken)).RootElement;
        return [.. list.GetProperty("exports").EnumerateArray().Select(static export => export.GetProperty("name").GetString()!)];
    }
}
