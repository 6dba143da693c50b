"""Which database does the platform bring? Its CRM tables as they stand on Supabase: columns, keys, triggers, RLS."""

from __future__ import annotations

import asyncpg

ORG = "7b1d1e5c-6a0e-4f0e-9a53-0d1f6f7b2a10"

# Supabase's roles belong to the whole cluster, which the tests of one process share.
ROLES = "DO $$ BEGIN {} END $$".format(
    " ".join(
        f"IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') THEN CREATE ROLE {role} NOLOGIN; END IF;"
        for role in ("anon", "authenticated", "service_role")
    )
)

ID = "id uuid primary key default gen_random_uuid()"
ORG_ID = "org_id uuid not null references organizations(id) on delete cascade"
TIMES = "created_at timestamptz default now(), updated_at timestamptz default now()"
STAGE = "references crm_pipeline_stages(id) on delete"

# Supabase gives every new table of `public` to its roles.
OPEN = """
    ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON TABLES TO anon, authenticated, service_role;
    CREATE SCHEMA auth;
    CREATE FUNCTION auth.uid() RETURNS uuid LANGUAGE sql STABLE AS 'SELECT NULL::uuid';
    CREATE FUNCTION trigger_set_timestamp() RETURNS trigger LANGUAGE plpgsql
        AS 'BEGIN NEW.updated_at = now(); RETURN NEW; END';
"""

TABLES = {
    "organizations": f"{ID}, name text not null, slug text not null unique, {TIMES}",
    "organization_members": "org_id uuid references organizations(id), user_id uuid, primary key (org_id, user_id)",
    "crm_connections": f"""{ID}, {ORG_ID}, provider text not null default 'kommo', base_domain text not null,
        access_token text not null, refresh_token text, expires_at timestamptz, scope text[], account_id text,
        metadata jsonb default '{{}}'::jsonb, {TIMES}, unique (org_id, provider, base_domain)""",
    "crm_credentials": f"""{ID}, {ORG_ID}, provider text not null default 'kommo', client_id text not null,
        client_secret text not null, redirect_uri text, {TIMES}, unique (org_id, provider)""",
    "crm_pipelines": f"""{ID}, connection_id uuid not null references crm_connections(id) on delete cascade,
        external_id text not null, name text not null, is_active boolean default true, sort_order integer default 0,
        metadata jsonb default '{{}}'::jsonb, {TIMES}, unique (connection_id, external_id)""",
    "crm_pipeline_stages": f"""{ID}, pipeline_id uuid not null references crm_pipelines(id) on delete cascade,
        external_id text not null, name text not null, sort_order integer default 0,
        metadata jsonb default '{{}}'::jsonb, {TIMES}, unique (pipeline_id, external_id)""",
    "crm_custom_fields": f"""{ID}, connection_id uuid not null references crm_connections(id) on delete cascade,
        external_id text not null, entity_type text not null, name text not null, field_type text not null, code text,
        is_required boolean default false, is_editable boolean default true, is_visible boolean default true,
        is_deletable boolean default true, is_api_only boolean default false, sort_order integer default 0, enums jsonb,
        settings jsonb default '{{}}'::jsonb, metadata jsonb default '{{}}'::jsonb, {TIMES},
        unique (connection_id, external_id, entity_type)""",
    "oauth_states": f"""{ID}, {ORG_ID}, provider text not null default 'kommo', state text not null,
        redirect_uri text not null, base_domain text not null, created_at timestamptz default now(),
        expires_at timestamptz not null default (now() + interval '15 minutes'), unique (provider, state)""",
    "webhook_events": f"""{ID}, {ORG_ID}, provider text not null, event_type text not null, payload jsonb not null,
        status text not null default 'pending'
            check (status in ('pending', 'processing', 'completed', 'failed', 'retrying')),
        error text, created_at timestamptz default now(), processed_at timestamptz, retry_count integer default 0,
        max_retries integer default 3, next_retry_at timestamptz, processing_started_at timestamptz,
        event_subtype text, entity_id text, entity_type text, execution_context jsonb default '{{}}'""",
    "crm_tasks": f"""{ID}, {ORG_ID}, task_id text not null, entity_id text not null, entity_type text not null,
        task_text text not null, task_type_id integer, complete_till timestamptz, responsible_user_id integer,
        is_completed boolean not null default false, metadata jsonb default '{{}}'::jsonb,
        created_at timestamptz not null default now(), updated_at timestamptz not null default now(),
        unique (org_id, task_id)""",
    "company_knowledge": f"{ID}, {ORG_ID}, title text not null, pipeline_stage_id uuid {STAGE} set null",
    "sales_scripts": f"{ID}, {ORG_ID}, title text not null, pipeline_stage_id uuid {STAGE} set null",
    "knowledge_pipeline_mapping": f"""{ID}, {ORG_ID}, knowledge_id uuid references company_knowledge(id),
        pipeline_stage_id uuid not null {STAGE} cascade""",
}
TOUCHED = (
    "crm_connections",
    "crm_credentials",
    "crm_pipelines",
    "crm_pipeline_stages",
    "crm_custom_fields",
    "crm_tasks",
)
GUARDED = ("crm_connections", "crm_pipelines", "crm_pipeline_stages", "crm_tasks", "company_knowledge", "sales_scripts")

# Everything that a migration could change about a table, one line each.
CATALOG = """
    SELECT 'column ' || table_name || '.' || column_name || ' ' || data_type || ' ' || is_nullable || ' '
        || coalesce(column_default, '-') AS line FROM information_schema.columns WHERE table_schema = 'public'
    UNION ALL SELECT 'constraint ' || conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid)
        FROM pg_constraint WHERE connamespace = 'public'::regnamespace
    UNION ALL SELECT 'index ' || indexdef FROM pg_indexes WHERE schemaname = 'public'
    UNION ALL SELECT 'trigger ' || tgrelid::regclass || ' ' || tgfoid::regproc || ' ' || tgtype || ' '
        || tgenabled::text || ' ' || tgisinternal::text || ' ' || tgconstrrelid::regclass
        FROM pg_trigger
    UNION ALL SELECT 'policy ' || tablename || ' ' || policyname || ' ' || cmd || ' ' || coalesce(qual, '-')
        FROM pg_policies WHERE schemaname = 'public'
    UNION ALL SELECT 'table ' || oid::regclass || ' rls ' || relrowsecurity || ' ' || relforcerowsecurity || ' '
        || relowner::regrole || ' ' || coalesce(relacl::text, '-') || ' ' || relkind::text FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'S', 'v')
    UNION ALL SELECT 'function ' || oid::regprocedure FROM pg_proc WHERE pronamespace = 'public'::regnamespace
    ORDER BY line
"""


async def make_platform(url: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(ROLES)
        await connection.execute(OPEN)
        for name, columns in TABLES.items():
            await connection.execute(f"CREATE TABLE {name} ({columns})")
            await connection.execute(f"CREATE INDEX idx_{name}_own ON {name} ({'user_id' if 'memb' in name else 'id'})")
        for name in TOUCHED:
            await connection.execute(
                f"CREATE TRIGGER {name}_updated_at BEFORE UPDATE ON {name} "
                "FOR EACH ROW EXECUTE FUNCTION trigger_set_timestamp()"
            )
        for name in GUARDED:
            await connection.execute(f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY")
        members = "SELECT org_id FROM organization_members WHERE user_id = auth.uid()"
        for name in ("crm_connections", "crm_tasks"):
            await connection.execute(
                f"CREATE POLICY members ON {name} FOR ALL TO authenticated USING (org_id IN ({members}))"
            )
        await connection.execute("INSERT INTO organizations (id, name, slug) VALUES ($1, 'Ann', 'ann')", ORG)
    finally:
        await connection.close()


async def catalog(url: str) -> dict[str, int]:
    """Lines of the catalog of schema public, and how often each is there."""
    connection = await asyncpg.connect(url)
    try:
        lines = [row["line"] for row in await connection.fetch(CATALOG)]
    finally:
        await connection.close()
    return {line: lines.count(line) for line in lines}
