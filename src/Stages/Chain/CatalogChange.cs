using System.Text.Json;
using System.Text.Json.Serialization;
using ZeroFlow.Pipeline.Blocks;
using ZeroFlow.Pipeline.Device;
using ZeroFlow.Pipeline.Faults;

namespace ZeroFlow.Stages.Chain;

/// <summary>A change of the catalog: a record of the commit order like any write. Encoded as JSON, named by its kind.</summary>
[JsonPolymorphic(TypeDiscriminatorPropertyName = "op", UnknownDerivedTypeHandling = JsonUnknownDerivedTypeHandling.FailSerialization)]
[JsonDerivedType(typeof(CreateExport), "create-export")]
[JsonDerivedType(typeof(SetLevel), "set-level")]
[JsonDerivedType(typeof(AlterExport), "alter-export")]
internal abstract record CatalogChange
{
    /// <summary>Makes an export. What has its default is left out, so that a program that does not know it can read the rest.</summary>
    public sealed record CreateExport(
        uint Id,
        string Name,
        long SizeBytes,
        int ChunkBytes,
        DurabilityLevel Level,
        [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingDefault)] bool IsReadOnly = false,
        [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] string? Description = null) : CatalogChange
    {
        public static CreateExport From(ExportInfo info) => new(
            info.Id.Value, info.Name, info.SizeBytes, info.ChunkBytes, info.Level, info.IsReadOnly,
            info.Description.Length == 0 ? null : info.Description);

        public ExportInfo ToInfo() =>
            new(new ExportId(Id), Name, SizeBytes, ChunkBytes, Level, IsReadOnly, Description ?? "");
    }

    /// <summary>A change of an export that exists.</summary>
    public abstract record ExportChange(uint Id) : CatalogChange
    {
        /// <summary>The export as it is after the change: the one rule for a running store, its WAL and its chain.</summary>
        public abstract ExportInfo ApplyTo(ExportInfo info);
    }

    /// <summary>Changes what FLUSH of an export waits for.</summary>
    public sealed record SetLevel(uint Id, DurabilityLevel Level) : ExportChange(Id)
    {
        public override ExportInfo ApplyTo(ExportInfo info) => info with { Level = Level };
    }

    /// <summary>Changes several properties of an export at once; what is left out stays.</summary>
    public sealed record AlterExport(
        uint Id,
        [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] string? Name = null,
        [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] DurabilityLevel? Level = null,
        [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] bool? IsReadOnly = null,
        [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] string? Description = null) : ExportChange(Id)
    {
        public override ExportInfo ApplyTo(ExportInfo info) => info with
        {
            Name = Name ?? info.Name,
            Level = Level ?? info.Level,
            IsReadOnly = IsReadOnly ?? info.IsReadOnly,
            Description = Description ?? info.Description,
        };
    }

    public byte[] Encode() => JsonSerializer.SerializeToUtf8Bytes(this, CatalogJson.Default.CatalogChange);

    /// <exception cref="StorageFaultException">A newer program wrote a change that this one does not know.</exception>
    public static CatalogChange Decode(ReadOnlySpan<byte> encoded)
    {
        try
        {
            return JsonSerializer.Deserialize(encoded, CatalogJson.Default.CatalogChange) ?? throw new JsonException("null");
        }
        catch (Exception unknown) when (unknown is JsonException or NotSupportedException)
        {
            throw new StorageFaultException(
                FaultKind.Invalid, "The store's catalog holds a change that this program does not know. Use a newer ZeroFlow.", unknown);
        }
    }
}

[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.KebabCaseLower,
    UseStringEnumConverter = true,
    UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow)]
[JsonSerializable(typeof(CatalogChange))]
internal sealed partial class CatalogJson : JsonSerializerContext;
