using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Schema;
using System.Text.Json.Serialization.Metadata;
using ZeroFlow.Host.Live;
using ZeroFlow.Host.Telemetry;

namespace ZeroFlow.Host.Control;

/// <summary>The OpenAPI document of the control API, made from its routes.</summary>
internal static class ControlDescription
{
    private static readonly Lazy<string> Made = new(Make);

    /// <summary>The document.</summary>
    public static string Text => Made.Value;

    private static string Make()
    {
        var schemas = new JsonObject();
        var paths = new JsonObject();
        foreach (IGrouping<string, ControlRoute> path in ControlRoutes.All.GroupBy(static route => route.Path))
        {
            var operations = new JsonObject();
            foreach (ControlRoute route in path) operations[route.Method.ToLowerInvariant()] = Operation(route, schemas);
            paths[path.Key] = operations;
        }

        paths[LiveEndpoint.FeedPath] = new JsonObject { ["get"] = Live(schemas) };
        return new JsonObject
        {
            ["openapi"] = "3.1.0",
            ["info"] = new JsonObject { ["title"] = "ZeroFlow control API", ["version"] = ProcessMetrics.Version },
            ["security"] = new JsonArray(new JsonObject { ["token"] = new JsonArray() }),
            ["paths"] = paths,
            ["components"] = new JsonObject
            {
                ["securitySchemes"] = new JsonObject
                {
                    ["token"] = new JsonObject { ["type"] = "http", ["scheme"] = "bearer" },
                },
                ["schemas"] = schemas,
            },
        }.ToJsonString(new JsonSerializerOptions { WriteIndented = true });
    }

    private static JsonObject Operation(ControlRoute route, JsonObject schemas)
    {
        var parameters = new JsonArray();
        if (route.Path.Contains("{name}", StringComparison.Ordinal)) parameters.Add(Parameter("name", "path"));
        foreach (string name in (string[])[.. route.Query, RequestLimit.Parameter]) parameters.Add(Parameter(name, "query"));
        var operation = new JsonObject { ["summary"] = route.Summary, ["parameters"] = parameters };
        if (route.Request is { } request) operation["requestBody"] = Body(request, schemas);
        JsonObject done = route.Answer is { } answer ? Body(answer, schemas) : [];
        done["description"] = "Done.";
        JsonObject refused = Body(ControlJson.Default.Problem, schemas, "application/problem+json");
        refused["description"] = "Not done; the body says why.";
        operation["responses"] = new JsonObject { ["2XX"] = done, ["default"] = refused };
        return operation;
    }

    // Served by the live view: a stream would hold up a store that closes.
    private static JsonObject Live(JsonObject schemas)
    {
        JsonObject frame = Body(LiveJson.Default.LiveFrame, schemas);
        frame["description"] = "The server at this moment; to whoever accepts text/event-stream, once a second. Needs no token on the server's own machine.";
        return new JsonObject { ["summary"] = "Show the live view.", ["responses"] = new JsonObject { ["200"] = frame } };
    }

    private static JsonObject Parameter(string name, string place) => new()
    {
        ["name"] = name,
        ["in"] = place,
        ["required"] = place == "path",
        ["schema"] = new JsonObject
        {
            ["type"] = name switch { "name" or "kind" or "purpose" or "prefix" or RequestLimit.Parameter => "string", "force" or "failed" => "boolean", _ => "integer" },
        },
    };

    private static JsonObject Body(JsonTypeInfo type, JsonObject schemas, string mediaType = "application/json")
    {
        string name = type.Type.Name;
        schemas[name] ??= type.GetJsonSchemaAsNode();
        return new JsonObject
        {
            ["content"] = new JsonObject
            {
                [mediaType] = new JsonObject { ["schema"] = new JsonObject { ["$ref"] = $"#/components/schemas/{name}" } },
            },
        };
    }
}
